// SPDX-License-Identifier: BSD-2-Clause
// http_node.js server PORT | client HOST PORT CONNECTIONS ROUNDS
'use strict';
const crypto = require('crypto');
const http = require('http');

const sum = (data) => crypto.createHash('sha256').update(data).digest('hex');

function server(port) {
	http.createServer((request, response) => {
		const parts = [];

		request.on('data', (part) => parts.push(part));
		request.on('end', () => response.end(sum(Buffer.concat(parts))));
	}).listen({ port, host: '::', backlog: 2000 });
}

function ask(agent, host, port, body) {
	return new Promise((resolve, reject) => {
		const request = http.request({ agent, port, host, method: 'POST' }, (response) => {
			let text = '';

			response.on('data', (part) => { text += part; });
			response.on('end', () => resolve(text));
		});

		request.on('error', reject);
		request.end(body);
	});
}

async function client(host, port, connections, rounds) {
	const agent = new http.Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections, scheduling: 'fifo' });
	let opened = 0;

	agent.createConnection = ((make) => (...args) => {
		opened++;
		return make.apply(agent, args);
	})(agent.createConnection);
	for (let round = 0; round < rounds; round++) {
		const bodies = Array.from({ length: connections }, (_, nr) => `${nr}/${round} `.repeat(1 + nr % 500));
		const answers = await Promise.all(bodies.map((body) => ask(agent, host, port, body)));

		answers.forEach((answer, nr) => {
			if (answer !== sum(bodies[nr]))
				throw new Error(`connection ${nr}: ${answer}`);
		});
	}
	console.log(connections, 'requests at once', rounds, 'rounds', opened, 'connections');
	agent.destroy();
}

if (process.argv[2] === 'server') {
	server(Number(process.argv[3]));
	process.on('SIGTERM', () => process.exit(0));
} else {
	client(process.argv[3], ...process.argv.slice(4).map(Number));
}
