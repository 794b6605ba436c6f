// Has the real server make the report of a recorded run, as an editor does, and copies it: usage:
// node ask.mjs PROGRAM STATE_DIRECTORY RUN FILE
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const [program, state, run, file] = process.argv.slice(2);
const config = path.join(state, 'config.toml');
fs.writeFileSync(config, '');
const server = spawn(program, ['serve', '--stdio'], {
  env: { PATH: process.env.PATH, HOME: state, ROPEWAY_CONFIG: config, ROPEWAY_STATE_DIR: state },
  stdio: ['pipe', 'pipe', 'inherit'],
});
const send = (message) => {
  const body = JSON.stringify({ jsonrpc: '2.0', ...message });
  server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
};
const ask = (id, method, params) => send({ id, method, params });

let read = Buffer.alloc(0);
server.stdout.on('data', (chunk) => {
  read = Buffer.concat([read, chunk]);
  for (;;) {
    const head = read.indexOf('\r\n\r\n');
    const length = head < 0 ? undefined : Number(/Content-Length: (\d+)/.exec(read.subarray(0, head).toString())[1]);
    if (length === undefined || read.length < head + 4 + length) return;
    heard(JSON.parse(read.subarray(head + 4, head + 4 + length).toString()));
    read = read.subarray(head + 4 + length);
  }
});

function heard(message) {
  if (message.method !== undefined) {
    if (message.id !== undefined) send({ id: message.id, result: null });
  } else if (message.id === 1) {
    send({ method: 'initialized', params: {} });
    ask(2, 'workspace/executeCommand', { command: 'ropeway.report', arguments: [{ runId: run }] });
  } else if (message.id === 2) {
    if (message.error) throw new Error(`${run}: ${message.error.message}`);
    fs.copyFileSync(message.result.path, file);
    ask(3, 'shutdown', null);
  } else if (message.id === 3) {
    send({ method: 'exit' });
    server.stdin.end();
  }
}
server.on('exit', (code) => {
  if (code !== 0) process.exitCode = 1;
});
ask(1, 'initialize', { processId: process.pid, rootUri: null, capabilities: {} });
