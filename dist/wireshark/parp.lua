-- SPDX-License-Identifier: BSD-2-Clause
--
-- Port-aware ARP in Wireshark and tshark: all three encodings of docs/parp.md.
--
--   tshark -X lua_script:parp.lua -r FILE        or: copy it into ~/.local/lib/wireshark/plugins
--
-- Filters: parp, parp.msg == 2, parp.port_lo == 6379, parp.sender_mac == c2:11:22:33:44:55, ...

local parp = Proto("parp", "Port-Aware ARP")

local MAGIC = 0x50415250
local TYPE_ARP, TYPE_E2, TYPE_IP6 = 0x0806, 0x88b5, 0x86dd
local SUBTYPE_E2 = 0x50
local ND_OPTION = 253

local messages = {
	[1] = "QUERY", [2] = "REPLY", [3] = "NEG", [4] = "ANNOUNCE", [5] = "RELEASE",
	[6] = "MAC_PROBE", [7] = "MAC_DEFEND", [8] = "MAC_CLAIM",
}
local protocols = { [0] = "any", [6] = "TCP", [17] = "UDP", [132] = "SCTP" }
local tlvs = {
	[1] = "LIFETIME", [2] = "NONCE", [3] = "HOST_ID", [4] = "TIMESTAMP", [5] = "CANON_MAC", [6] = "PORTSET",
	[7] = "MAC_LIST", [8] = "CAPS", [254] = "AUTH", [255] = "SIG",
}

local f = {
	encoding = ProtoField.string("parp.encoding", "Encoding"),
	op = ProtoField.uint16("parp.op", "Operation", base.DEC, { [24] = "question or claim", [25] = "answer or objection" }),
	msg = ProtoField.uint8("parp.msg", "Message", base.DEC, messages),
	version = ProtoField.uint8("parp.version", "Version"),
	sender_mac = ProtoField.ether("parp.sender_mac", "Sender MAC"),
	target_mac = ProtoField.ether("parp.target_mac", "Target MAC"),
	proto = ProtoField.uint8("parp.proto", "Protocol", base.DEC, protocols),
	port_lo = ProtoField.uint16("parp.port_lo", "First port"),
	port_hi = ProtoField.uint16("parp.port_hi", "Last port"),
	flags = ProtoField.uint16("parp.flags", "Flags", base.HEX),
	generation = ProtoField.uint32("parp.generation", "Generation", base.HEX),
	ip = ProtoField.ipv4("parp.ip", "Address"),
	ip6 = ProtoField.ipv6("parp.ip6", "Address"),
	tlv_len = ProtoField.uint16("parp.tlv_len", "Bytes of TLVs"),
	tlv = ProtoField.uint8("parp.tlv", "TLV", base.DEC, tlvs),
	lifetime = ProtoField.uint32("parp.lifetime", "Lifetime (ms)"),
	nonce = ProtoField.uint64("parp.nonce", "Nonce", base.HEX),
	host_id = ProtoField.bytes("parp.host_id", "Host"),
	timestamp = ProtoField.uint64("parp.timestamp", "Time (us since 1970)"),
	canon_mac = ProtoField.ether("parp.canon_mac", "Canonical MAC"),
	mac = ProtoField.ether("parp.mac", "MAC"),
	caps = ProtoField.uint32("parp.caps", "Capabilities", base.HEX),
	key_id = ProtoField.uint32("parp.key_id", "Key"),
	auth = ProtoField.bytes("parp.auth", "Keyed MAC"),
	value = ProtoField.bytes("parp.value", "Value"),
}
parp.fields = f

local bad = ProtoExpert.new("parp.bad", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
parp.experts = { bad }

-- Values of TLVs that have one length: number to { length, field }.
local fixed = {
	[1] = { 4, f.lifetime }, [2] = { 8, f.nonce }, [3] = { 16, f.host_id }, [4] = { 8, f.timestamp },
	[5] = { 6, f.canon_mac }, [6] = { 4, f.value }, [8] = { 4, f.caps },
}

local function value_tree(kind, v, tree)
	local one = fixed[kind]
	if one and v:len() == one[1] then
		tree:add(one[2], v)
	elseif kind == 7 and v:len() % 6 == 0 then
		for at = 0, v:len() - 6, 6 do tree:add(f.mac, v(at, 6)) end
	elseif kind == 254 and v:len() == 20 then
		tree:add(f.key_id, v(0, 4))
		tree:add(f.auth, v(4, 16))
	elseif one or kind == 7 or kind == 254 then
		tree:add_proto_expert_info(bad, "TLV of a wrong length")
	elseif v:len() > 0 then
		tree:add(f.value, v)
	end
end

local function tlv_tree(buf, tree)
	local at = 0
	while at < buf:len() do
		if buf:len() - at < 2 or buf(at + 1, 1):uint() > buf:len() - at - 2 then
			tree:add_proto_expert_info(bad, "TLV reaches past the message")
			return
		end
		local kind, len = buf(at, 1):uint(), buf(at + 1, 1):uint()
		local one = tree:add(f.tlv, buf(at, 1))
		one:set_len(2 + len)
		if len > 0 then value_tree(kind, buf(at + 2, len), one) end
		at = at + 2 + len
	end
end

-- The TLVs from @at on; the message says that they are @said bytes long.
local function tlvs(buf, at, said, tree, whole)
	if said > buf:len() - at then
		tree:add_proto_expert_info(bad, "TLVs reach past the " .. whole)
	elseif said > 0 then
		tlv_tree(buf(at, said), tree)
	end
end

local function ports_text(proto, lo, hi)
	local name = protocols[proto] or tostring(proto)
	return lo == hi and string.format("%s %d", name, lo) or string.format("%s %d-%d", name, lo, hi)
end

-- Return: the endpoint in words; nil: none is named
local function endpoint_tree(buf, tree, name)
	local ep = tree:add(parp, buf, name)
	ep:add(f.version, buf(0, 1))
	ep:add(f.proto, buf(1, 1))
	ep:add(f.port_lo, buf(2, 2))
	ep:add(f.port_hi, buf(4, 2))
	ep:add(f.flags, buf(6, 2))
	ep:add(f.generation, buf(8, 4))
	ep:add(f.ip, buf(12, 4))
	if buf(12, 4):uint() == 0 then return nil end
	local text = string.format("%s %s", tostring(buf(12, 4):ipv4()),
		ports_text(buf(1, 1):uint(), buf(2, 2):uint(), buf(4, 2):uint()))
	ep:append_text(": " .. text)
	return text
end

local function info(pinfo, msg, what, mac)
	pinfo.cols.protocol = "PARP"
	pinfo.cols.info = string.format("%s %s%s", messages[msg] or "message " .. msg, what or "",
		mac and (" is at " .. mac) or "")
end

-- What a message is about, for the list of packets.
local function summary(pinfo, msg, sender, target, sender_mac, target_mac)
	if msg == 1 then
		info(pinfo, msg, target)
	elseif msg == 6 then
		info(pinfo, msg, target_mac)
	elseif msg == 7 or msg == 8 then
		info(pinfo, msg, sender_mac)
	elseif msg == 3 then
		info(pinfo, msg, sender)
	else
		info(pinfo, msg, sender, sender_mac)
	end
end

local function message(buf, pinfo, tree, encoding)
	local t = tree:add(parp, buf)
	t:add(f.encoding, encoding):set_generated()
	if buf:len() < 60 then
		t:add_proto_expert_info(bad, "shorter than its fixed part")
		return
	end
	local msg = buf(57, 1):uint()
	t:append_text(": " .. (messages[msg] or "message " .. msg))
	t:add(f.op, buf(6, 2))
	t:add(f.sender_mac, buf(8, 6))
	local sender = endpoint_tree(buf(14, 16), t, "Sender endpoint")
	t:add(f.target_mac, buf(30, 6))
	local target = endpoint_tree(buf(36, 16), t, "Target endpoint")
	t:add(f.version, buf(56, 1))
	t:add(f.msg, buf(57, 1))
	t:add(f.tlv_len, buf(58, 2))
	summary(pinfo, msg, sender, target, tostring(buf(8, 6):ether()), tostring(buf(30, 6):ether()))
	tlvs(buf, 60, buf(58, 2):uint(), t, "frame")
end

local ethertype = DissectorTable.get("ethertype")
local arp = ethertype:get_dissector(TYPE_ARP)

-- E1: what is not ours is ARP's.
local e1 = Proto("parp_e1", "Port-Aware ARP (E1)")
function e1.dissector(buf, pinfo, tree)
	if buf:len() >= 6 and buf(0, 2):uint() == 1 and buf(2, 2):uint() == TYPE_E2 then
		message(buf, pinfo, tree, "E1")
	else
		arp:call(buf, pinfo, tree)
	end
end
ethertype:add(TYPE_ARP, e1)

local e2 = Proto("parp_e2", "Port-Aware ARP (E2)")
function e2.dissector(buf, pinfo, tree)
	if buf:len() >= 6 and buf(0, 1):uint() == SUBTYPE_E2 then
		message(buf, pinfo, tree, "E2")
		return
	end
	Dissector.get("data"):call(buf, pinfo, tree)
end
ethertype:add(TYPE_E2, e2)

-- ND: an option, looked for behind what Wireshark itself has to say.
local function nd_option(buf, pinfo, tree)
	local t = tree:add(parp, buf)
	local msg, proto = buf(3, 1):uint(), buf(14, 1):uint()
	t:add(f.encoding, "ND"):set_generated()
	t:append_text(": " .. (messages[msg] or "message " .. msg))
	t:add(f.version, buf(2, 1))
	t:add(f.msg, buf(3, 1))
	t:add(f.sender_mac, buf(8, 6))
	t:add(f.proto, buf(14, 1))
	t:add(f.port_lo, buf(16, 2))
	t:add(f.port_hi, buf(18, 2))
	t:add(f.flags, buf(20, 2))
	t:add(f.tlv_len, buf(22, 2))
	t:add(f.generation, buf(24, 4))
	local ports = ports_text(proto, buf(16, 2):uint(), buf(18, 2):uint())
	summary(pinfo, msg, ports, ports, tostring(buf(8, 6):ether()), nil)
	tlvs(buf, 32, buf(22, 2):uint(), t, "option")
end

function parp.dissector(buf, pinfo, tree)
	if buf:len() < 14 + 40 + 24 + 8 or buf(12, 2):uint() ~= TYPE_IP6 or buf(20, 1):uint() ~= 58 then return end
	local kind, at = buf(54, 1):uint(), 78
	if kind ~= 135 and kind ~= 136 then return end
	while at + 8 <= buf:len() do
		local len = buf(at + 1, 1):uint() * 8
		if len == 0 or at + len > buf:len() then return end
		if buf(at, 1):uint() == ND_OPTION and len >= 32 and buf(at + 4, 4):uint() == MAGIC then
			nd_option(buf(at, len), pinfo, tree)
			return
		end
		at = at + len
	end
end
register_postdissector(parp)
