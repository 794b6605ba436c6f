--- Measures what the plugin costs the one who types: nvim -l tests/nvim/bench.lua PROGRAM-OF-ROPEWAY
---
--- A second Neovim runs in a terminal of this one, as a user has it, and is typed into through that terminal: at rest,
--- beside a run that streams 100 pieces of text a second into an open answer window, and at rest again, in turn, so that
--- the machine's moods fall on all three and the two at rest show what is noise. A key's time is from before it is sent
--- until the text has changed, and until the screen is drawn, in the editor's own event loop; both processes read the
--- same monotonic clock. Prints tables; asserts nothing of time.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
local root = vim.fs.dirname(vim.fs.dirname(here))
local program = assert(_G.arg[1], 'usage: nvim -l bench.lua PROGRAM [ROUNDS]')
local ROUNDS, KEYS, PAUSE, PIECE = tonumber(_G.arg[2]) or 8, 150, 8, 10

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

-- The editor, in a terminal of a usual size.
vim.o.columns, vim.o.lines = 100, 40
local command = {
  vim.v.progpath,
  '--listen',
  dir .. '/editor',
  '-u',
  here .. '/init.lua',
  '-i',
  'NONE',
  '-n',
  'text.py',
}
local job = {
  cwd = dir,
  env = {
    ROPEWAY_TEST_ROOT = root,
    ROPEWAY_TEST_PROGRAM = vim.fn.fnamemodify(program, ':p'),
    ROPEWAY_CONFIG = dir .. '/config.toml',
    ROPEWAY_STATE_DIR = dir .. '/state',
    PLAY_KEY = 'none',
    TERM = 'xterm-256color',
  },
}
local terminal ---@type integer what is sent to it is typed
if vim.fn.has('nvim-0.11') == 1 then
  job.term = true
  terminal = vim.fn.jobstart(command, job)
else
  terminal = vim.fn.termopen(command, job) ---@diagnostic disable-line: deprecated
end
local editor ---@type integer
assert(
  vim.wait(20000, function()
    local ok, channel = pcall(vim.fn.sockconnect, 'pipe', dir .. '/editor', { rpc = true })
    editor = ok and channel or nil
    return editor ~= nil
  end, 10),
  'the editor starts'
)
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

await('the server starts', "seen and seen.starts == 1 and require('ropeway').client(0, true)")
lua([[
  _G.text, _G.drawn = {}, {}
  vim.api.nvim_buf_attach(0, false, { on_bytes = function()
    table.insert(text, vim.uv.hrtime())
  end })
  -- The first screen drawn after a change has it.
  vim.api.nvim_set_decoration_provider(vim.api.nvim_create_namespace('bench'), { on_end = function()
    local now = vim.uv.hrtime()
    for at = #drawn + 1, #text do
      drawn[at] = now
    end
  end })]])

---@class Times
---@field text number[] ms from each key to the changed text
---@field drawn number[] ms from each key to the screen that shows it

--- Types.
---@param into Times
local function measure(into)
  vim.fn.chansend(terminal, 'o')
  await('insert mode', "vim.api.nvim_get_mode().mode == 'i'")
  vim.wait(50)
  lua('text, drawn = {}, {}')
  local sent = {}
  for at = 1, KEYS do
    sent[at] = vim.uv.hrtime()
    vim.fn.chansend(terminal, 'x')
    vim.wait(PAUSE)
  end
  await('all keys arrive', '#drawn >= ' .. KEYS)
  for _, what in ipairs({ 'text', 'drawn' }) do
    local arrived = lua('return ' .. what)
    for at = 1, KEYS do
      table.insert(into[what], (arrived[at] - sent[at]) / 1e6)
    end
  end
  vim.fn.chansend(terminal, '\27')
  await('normal mode', "vim.api.nvim_get_mode().mode == 'n'")
end

local rest, streaming, again =
  { text = {}, drawn = {} }, { text = {}, drawn = {} }, { text = {}, drawn = {} }
for _ = 1, ROUNDS do
  measure(rest)
  ending, pieces = false, 0
  lua('seen.events = {}')
  vim.fn.chansend(terminal, ':Ropeway explain\r')
  await('the model speaks', "vim.iter(seen.events):any(function(e) return e.kind == 'text' end)")
  measure(streaming)
  local streamed = pieces
  ending = true
  await('the run ends', "seen.events[#seen.events].kind == 'finished'")
  assert(streamed > KEYS * PAUSE / PIECE / 2, 'the model did not stream while the keys came')
  measure(again)
end
vim.fn.chansend(terminal, ':qall!\r')

print(('typing, ms from key to …, %d keys each'):format(#rest.text))
print(('%-28s %7s %7s %7s %7s'):format('', 'p50', 'p95', 'p99', 'max'))
for _, what in ipairs({ 'text', 'drawn' }) do
  for _, row in ipairs({
    { 'no run', rest },
    { 'a run that streams', streaming },
    { 'no run, again', again },
  }) do
    local all = row[2][what]
    table.sort(all)
    local function at(share)
      return all[math.max(1, math.ceil(#all * share))]
    end
    print(
      ('%-28s %7.2f %7.2f %7.2f %7.2f'):format(
        what .. ': ' .. row[1],
        at(0.5),
        at(0.95),
        at(0.99),
        at(1)
      )
    )
  end
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
