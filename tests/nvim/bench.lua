--- Measures what the plugin costs the one who types: nvim -l tests/nvim/bench.lua PROGRAM-OF-ROPEWAY
---
--- A second Neovim is typed into over its RPC, with no run and with one that streams 100 pieces of text a second into an
--- open answer window. A key's time is from before it is sent until the text has changed in the editor's own event loop;
--- both processes read the same monotonic clock. Rounds alternate, so that the machine's moods fall on both. Prints a
--- table; asserts nothing.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
local root = vim.fs.dirname(vim.fs.dirname(here))
local program = assert(_G.arg[1], 'usage: nvim -l bench.lua PROGRAM')
local ROUNDS, KEYS, PAUSE, PIECE = 6, 150, 8, 10

local dir = vim.fn.tempname()
vim.fn.mkdir(dir .. '/.git', 'p')
vim.fn.writefile({ 'one', 'two' }, dir .. '/text.py')

-- The model: answers every request with pieces of text until it is told to end.
local ending = false
local pieces = 0
local function chunk(delta, reason)
  return 'data: '
    .. vim.json.encode({
      id = 'c',
      object = 'chat.completion.chunk',
      choices = { { index = 0, delta = delta, finish_reason = reason } },
    })
    .. '\n\n'
end
local server = assert(vim.uv.new_tcp())
server:bind('127.0.0.1', 0)
server:listen(8, function()
  local socket = assert(vim.uv.new_tcp())
  server:accept(socket)
  local got = ''
  socket:read_start(function(_, data)
    got = got .. (data or '')
    if not data or not got:find('"messages"', 1, true) then
      return
    end
    got = ''
    socket:write(
      'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n'
        .. chunk({ role = 'assistant', content = '' })
    )
    local timer = assert(vim.uv.new_timer())
    timer:start(PIECE, PIECE, function()
      if socket:is_closing() or not ending then
        if not socket:is_closing() then
          pieces = pieces + 1
          socket:write(
            chunk({ content = pieces % 12 == 0 and 'end.\n\n' or '**words** that `come` ' })
          )
        end
        return
      end
      timer:close()
      socket:write(chunk({ content = '' }, 'stop') .. 'data: [DONE]\n\n')
      socket:shutdown(function()
        socket:close()
      end)
    end)
  end)
end)

vim.fn.writefile({
  'model = "play/m"',
  '[providers.play]',
  'kind = "openai"',
  ('base_url = "http://127.0.0.1:%d/v1"'):format(server:getsockname().port),
  'api_key_env = "PLAY_KEY"',
}, dir .. '/config.toml')

local editor = vim.fn.jobstart({
  vim.v.progpath,
  '--embed',
  '--headless',
  '-u',
  here .. '/init.lua',
  '-i',
  'NONE',
  '-n',
  'text.py',
}, {
  rpc = true,
  cwd = dir,
  env = {
    ROPEWAY_TEST_ROOT = root,
    ROPEWAY_TEST_PROGRAM = vim.fn.fnamemodify(program, ':p'),
    ROPEWAY_CONFIG = dir .. '/config.toml',
    ROPEWAY_STATE_DIR = dir .. '/state',
    PLAY_KEY = 'none',
  },
})
local function lua(code, ...)
  return vim.rpcrequest(editor, 'nvim_exec_lua', code, { ... })
end
local function await(what, expression)
  assert(
    vim.wait(20000, function()
      return lua('return (' .. expression .. ') and true or false')
    end, 10),
    what
  )
end

await('the server starts', "seen.starts == 1 and require('ropeway').client(0, true)")
lua([[
  _G.times = {}
  vim.api.nvim_buf_attach(0, false, { on_bytes = function()
    table.insert(times, vim.uv.hrtime())
  end })]])

--- Types, and gives the time of each key in ms.
local function measure()
  lua('times = {}')
  vim.rpcrequest(editor, 'nvim_input', 'o')
  await('insert mode', "vim.api.nvim_get_mode().mode == 'i'")
  vim.wait(50)
  lua('times = {}')
  local sent = {}
  for at = 1, KEYS do
    sent[at] = vim.uv.hrtime()
    vim.rpcnotify(editor, 'nvim_input', 'x')
    vim.wait(PAUSE)
  end
  await('all keys arrive', '#times >= ' .. KEYS)
  local arrived = lua('return times')
  vim.rpcrequest(editor, 'nvim_input', '<Esc>')
  local took = {}
  for at = 1, KEYS do
    took[at] = (arrived[at] - sent[at]) / 1e6
  end
  return took
end

local quiet, busy = {}, {}
for _ = 1, ROUNDS do
  vim.list_extend(quiet, measure())
  ending, pieces = false, 0
  lua('seen.events = {}')
  vim.rpcnotify(editor, 'nvim_input', '<Esc>:Ropeway explain<CR>')
  await('the model speaks', "vim.iter(seen.events):any(function(e) return e.kind == 'text' end)")
  vim.list_extend(busy, measure())
  local streamed = pieces
  ending = true
  await('the run ends', "seen.events[#seen.events].kind == 'finished'")
  assert(streamed > KEYS * PAUSE / PIECE / 2, 'the model did not stream while the keys came')
end
pcall(vim.rpcnotify, editor, 'nvim_input', ':qall!<CR>')

print(('typing, ms from key to text, %d keys each'):format(#quiet))
print(('%-22s %7s %7s %7s %7s'):format('', 'p50', 'p95', 'p99', 'max'))
for _, row in ipairs({ { 'no run', quiet }, { 'a run that streams', busy } }) do
  table.sort(row[2])
  local function at(share)
    return row[2][math.max(1, math.ceil(#row[2] * share))]
  end
  print(('%-22s %7.2f %7.2f %7.2f %7.2f'):format(row[1], at(0.5), at(0.95), at(0.99), at(1)))
end

-- What a start pays.
local samples = {}
for at = 1, 15 do
  local result = vim
    .system({
      vim.v.progpath,
      '--clean',
      '--headless',
      '--cmd',
      'set rtp^=' .. root .. '/editors/nvim',
      '+lua local t = vim.uv.hrtime() require("ropeway") io.write((vim.uv.hrtime() - t) / 1e6)',
      '+qa',
    }, { text = true })
    :wait()
  samples[at] = assert(tonumber(result.stdout), result.stderr)
end
table.sort(samples)
print(('require("ropeway"): median %.2f ms, longest %.2f ms of 15'):format(samples[8], samples[15]))
