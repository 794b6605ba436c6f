// A model on loopback that speaks OpenAI's chat completions; the test says what it says, and when.
import http from 'node:http';

/** Starts it. `next()` is the next request, answered piece by piece; one to the model `refused` is. */
export async function startModel() {
  const waiting = [];
  const arrived = [];
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      // Besides questions there are a look at the list of models, and one that only opens a connection ahead.
      if (request.method !== 'POST') {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ data: [{ id: 'small' }, { id: 'large' }] }));
        return;
      }
      const question = JSON.parse(body);
      if (question.model === 'refused') {
        response.writeHead(401, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ error: { message: 'Incorrect API key provided', code: 'invalid_api_key' } }));
        return;
      }
      const asked = new Asked(question, response);
      const taker = waiting.shift();
      if (taker) taker(asked);
      else arrived.push(asked);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    next: () =>
      arrived.length > 0
        ? Promise.resolve(arrived.shift())
        : new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error('the model was not asked')), 60_000);
            waiting.push((asked) => {
              clearTimeout(timer);
              resolve(asked);
            });
          }),
    pending: () => arrived.length,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

let calls = 0;

class Asked {
  constructor(body, response) {
    this.body = body;
    this.response = response;
    this.index = 0;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    this.gone = new Promise((resolve) => response.on('close', resolve));
  }

  send(delta, finish = null) {
    const chunk = { id: 'x', object: 'chat.completion.chunk', model: this.body.model, choices: [{ index: 0, delta, finish_reason: finish }] };
    this.response.write(`data: ${JSON.stringify(chunk)}\n\n`);
    return this;
  }

  text(content) {
    return this.send({ content });
  }

  call(name, args) {
    const index = this.index++;
    const id = `call_${++calls}`;
    return this.send({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: JSON.stringify(args) } }] });
  }

  end() {
    this.send({}, this.index > 0 ? 'tool_calls' : 'stop');
    const usage = { prompt_tokens: 1840, completion_tokens: 96, prompt_tokens_details: { cached_tokens: 1024 } };
    const last = { id: 'x', object: 'chat.completion.chunk', model: this.body.model, choices: [], usage };
    this.response.write(`data: ${JSON.stringify(last)}\n\ndata: [DONE]\n\n`);
    this.response.end();
  }

  /** What the tools returned. */
  results() {
    return this.body.messages.filter((message) => message.role === 'tool').map((message) => String(message.content));
  }
}
