// SPDX-License-Identifier: BSD-2-Clause
/*
 * A packet that comes over veth was judged before XDP runs: to another address than the device's, PACKET_OTHERHOST, which no protocol of
 * the kernel takes. An XDP program that writes the device's own address changes nothing about that, while with a driver that hands its
 * frames to XDP first it does. From a map of processors (cpumap) the frame comes back as a new packet, and is judged anew.
 */
#include "platform.h"

#include <stddef.h>

static const uint8_t sent[6] = { 0x02, 0, 0, 0, 0, 0x01 }; /* by frames_send() */
static const uint8_t own[6] = { 0x02, 0, 0, 0, 0, 0x03 };

/* Writes @mac as the destination; then on by entry 0 of @map, or to the kernel if there is none. */
static int prog_readdress(int map, const uint8_t mac[6])
{
	uint32_t high;
	uint16_t low;

	memcpy(&high, mac, sizeof(high));
	memcpy(&low, mac + sizeof(high), sizeof(low));
	struct bpf_insn insns[] = {
		{ .code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct xdp_md, data) },
		{ .code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = 3, .src_reg = 1, .off = offsetof(struct xdp_md, data_end) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 4, .src_reg = 2 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 4, .imm = sizeof(own) },
		{ .code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = 4, .src_reg = 3, .off = 2 },
		{ .code = BPF_ST | BPF_W | BPF_MEM, .dst_reg = 2, .imm = (int32_t)high },
		{ .code = BPF_ST | BPF_H | BPF_MEM, .dst_reg = 2, .off = sizeof(high), .imm = (int16_t)low },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return prog_new(insns, sizeof(insns) / sizeof(insns[0]));
}

/* One is sent. Return: as what it came; -1: it didn't. @ret_to: where it was sent to then */
static int comes_as(int from, int to, uint8_t ret_to[6])
{
	struct sockaddr_ll addr;
	socklen_t len = sizeof(addr);
	uint8_t frame[64];

	frames_send(from, 1);
	if (recvfrom(to, frame, sizeof(frame), 0, (struct sockaddr *)&addr, &len) < 14)
		return -1;
	memcpy(ret_to, frame, 6);
	return addr.sll_pkttype;
}

/* Return: as what one comes when the program writes @mac */
static int with(int map, const uint8_t mac[6])
{
	int from = tap("a0"), to = tap("a1"), link = attach("a1", prog_readdress(map, mac)), as;
	uint8_t where[6];

	as = comes_as(from, to, where);
	EXPECT(as < 0 || memcmp(where, mac, sizeof(where)) == 0);
	close(link);
	close(from);
	close(to);
	settle();
	return as;
}

int main(void)
{
	int cpus;

	devices();
	run("ip link set a1 address 02:00:00:00:00:03");
	cpus = map_new(BPF_MAP_TYPE_CPUMAP);
	EXPECT(with(cpus, sent) == PACKET_OTHERHOST);
	EXPECT(with(cpus, own) == PACKET_OTHERHOST);
	EXPECT(map_set(cpus, 64) == 0); /* packets that may wait for processor 0 */
	EXPECT(with(cpus, own) == PACKET_HOST);
	EXPECT(with(cpus, sent) == PACKET_OTHERHOST);
	run("ip link set a1 address 02:00:00:00:00:01");
	EXPECT(with(cpus, sent) == PACKET_HOST);
	return 0;
}
