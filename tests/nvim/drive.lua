--- Plays a user in a real Neovim against the real server: nvim -l drive.lua SCENARIO DIRECTORY
---
--- This Neovim drives another one over its RPC: keys go through that one's own input loop, so insert mode, undo blocks
--- and the command line are what a user has. The test that started us plays the model and meets us at gates: we print
--- `gate NAME` and read a line before we go on, so the interleaving is fixed and nothing sleeps.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
package.path = here .. '/?.lua;' .. package.path
local t = require('check')
local scenario, dir = _G.arg[1], _G.arg[2]

local editor ---@type integer channel of the Neovim under test
local ended ---@type integer? its exit code

--- Runs Lua in the editor.
local function lua(code, ...)
  return vim.rpcrequest(editor, 'nvim_exec_lua', code, { ... })
end

--- Presses keys, as |nvim_input()| has them.
local function keys(text)
  vim.rpcrequest(editor, 'nvim_input', text)
end

--- Runs a command line by typing it.
local function command(line)
  keys(':' .. line:gsub('<', '<LT>') .. '<CR>')
end

local function text()
  return table.concat(vim.rpcrequest(editor, 'nvim_buf_get_lines', 0, 0, -1, true), '\n')
end

local function gate(name)
  io.write('gate ' .. name .. '\n')
  io.flush()
  assert(io.read('*l') == 'go ' .. name, 'the test has gone away')
end

--- Waits until this Lua expression is true in the editor.
local function until_true(name, expression, detail)
  return t.wait(name, function()
    return lua('return (' .. expression .. ') and true or false')
  end, function()
    return lua('return ' .. (detail or 'seen'))
  end)
end

local function until_text(name, want)
  t.wait(name, function()
    return text() == want
  end, function()
    return { got = text(), want = want }
  end)
end

--- Waits for the run's end and checks how it ended.
local function finished(name, status)
  until_true(name, "#seen.events > 0 and seen.events[#seen.events].kind == 'finished'")
  local last = lua('local event = seen.events[#seen.events] seen.events = {} return event')
  t.check(name .. ': ' .. status, last and last.status == status, last)
  return last
end

--- The state letter and the parent of a process, nil if there is none; one that has ended but was not waited for
--- counts as none.
---@return string? state, integer? parent
local function process(pid)
  local file = io.open('/proc/' .. pid .. '/stat')
  local stat = file and file:read('*a') or ''
  if file then
    file:close()
  end
  local state, parent = stat:match('%) (%a) (%d+)')
  if state and state ~= 'Z' and state ~= 'X' then
    return state, tonumber(parent)
  end
end

--- The processes that this one has started and that live.
local function children(parent)
  local found = {}
  for name in vim.fs.dir('/proc') do
    local _, of = process(name)
    if name:match('^%d+$') and of == parent then
      found[#found + 1] = tonumber(name)
    end
  end
  return found
end

local function server()
  local pid = vim.rpcrequest(editor, 'nvim_call_function', 'getpid', {})
  return children(pid)[1]
end

--- Opens a file in a new editor and waits until the server has it.
local function open(name)
  local program = vim.v.progpath
  editor = vim.fn.jobstart({
    program,
    '--embed',
    '--headless',
    '-u',
    here .. '/init.lua',
    '-i',
    'NONE',
    '-n',
    dir .. '/' .. name,
  }, {
    rpc = true,
    cwd = dir,
    on_exit = function(_, code)
      ended = code
    end,
  })
  assert(editor > 0, 'the editor does not start')
  until_true(
    'the server starts and takes the file',
    "seen.starts == 1 and require('ropeway').client(0, true)"
  )
end

--- Leaves the editor; its server must not outlive it.
local function quit()
  local pid = server()
  t.check('the server runs', pid)
  -- Its channel closes before it can answer.
  pcall(keys, '<Esc>:qall!<CR>')
  t.wait('the editor ends', function()
    return ended
  end)
  t.same('in good order', ended, 0)
  t.wait('and the server with it', function()
    return not pid or not process(pid)
  end)
end

local scenarios = {}

--- Code action, typing while the model speaks, the edit, undo, redo, revert.
function scenarios.edit()
  open('total.py')
  keys('O# typed before<Esc>')
  until_text('typing before the run', '# typed before\n' .. [[
def total(items):
    sum = 0
    for item in items:
        sum = sum + item
    return sum]])
  lua([[seen.pick, seen.answer = 'edit', 'use the builtin sum']])
  keys('jVG<Cmd>lua vim.lsp.buf.code_action()<CR><Esc>')
  until_true('the menu offers it', 'seen.menu ~= nil and #seen.menu > 0')
  t.same('the client asks for the instruction', lua('return seen.asked'), 'Ropeway edit: ')
  gate('asked')
  until_true(
    'a tool runs while the model still speaks',
    [[vim.iter(seen.events):any(function(e) return e.kind == 'toolFinished' end)]]
  )
  until_true(
    'the status line says that it works',
    [[require('ropeway').status():find('ropeway %a+ · ')]]
  )
  gate('read')
  keys('Go# typed meanwhile')
  local before = '# typed before\n'
    .. [[
def total(items):
    sum = 0
    for item in items:
        sum = sum + item
    return sum
# typed meanwhile]]
  until_text('typing during the run, still in insert mode', before)
  gate('typed')
  local after = '# typed before\ndef total(items):\n    return sum(items)\n# typed meanwhile'
  until_text('the edit arrives and the typed text is kept', after)
  local outcome = finished('the run', 'applied')
  t.same('it changed one file', #(outcome.files or {}), 1)
  t.check('insert mode goes on', vim.rpcrequest(editor, 'nvim_get_mode').mode == 'i')
  keys(', and after')
  until_text('typing goes on where it was', after .. ', and after')
  keys('<Esc>u')
  until_text('the first undo takes back only what was typed after the edit', after)
  keys('u')
  until_text('the next gives back the text before the edit, with all typing', before)
  keys('<C-r>')
  until_text('redo brings the edit back', after)
  keys('<C-r>')
  until_text('and the typing', after .. ', and after')
  keys('Go# later<Esc>')
  until_text('typing later', after .. ', and after\n# later')
  command('write')
  until_true('saved', 'not vim.bo.modified')
  command('Ropeway revert')
  until_text('revert takes back the run and keeps all typing', before .. ', and after\n# later')
  until_true(
    'and says so',
    [[seen.notes[#seen.notes].message:find('^Ropeway: revert: changed total.py')]],
    'seen.notes'
  )
  keys('u')
  until_text('which is an undo step as well', after .. ', and after\n# later')
  quit()
end

--- The user changes what the model changes: the user's text stays.
function scenarios.conflict()
  open('total.py')
  command('%Ropeway edit use the builtin sum')
  gate('asked')
  keys('3GA  # mine')
  local mine = table
    .concat(vim.fn.readfile(dir .. '/total.py'), '\n')
    :gsub('items:\n        sum', 'items:  # mine\n        sum')
  until_text('typing in the lines that the model works on', mine)
  gate('typed')
  local outcome = finished('the run', 'conflict')
  t.check('it names the place', vim.tbl_get(outcome, 'files', 1, 'conflicts', 1, 'line'), outcome)
  t.same('the text of the user stays', text(), mine)
  until_true(
    'and the user is told',
    'vim.iter(seen.notes):any(function(n) return n.level == vim.log.levels.WARN end)'
  )
  quit()
end

--- Cancel in the middle.
function scenarios.cancel()
  open('total.py')
  command('%Ropeway edit use the builtin sum')
  gate('asked')
  until_true(
    'the model speaks',
    [[vim.iter(seen.events):any(function(e) return e.kind == 'text' end)]]
  )
  command('Ropeway cancel')
  finished('the run', 'cancelled')
  t.check('nothing was changed', lua('return not vim.bo.modified and vim.fn.changenr() == 0'))
  gate('cancelled')
  command('Ropeway cancel')
  until_true(
    'with nothing to cancel it says so',
    [[seen.notes[#seen.notes].message:find('nothing is running')]]
  )
  quit()
end

--- A conflict, an answer, other files, the small commands.
function scenarios.answers()
  open('total.py')
  command('Ropeway explain')
  finished('the run', 'answered')
  until_true(
    'the answer opens below, as Markdown',
    [[vim.fn.bufwinid('ropeway://answer') ~= -1 and vim.bo[vim.fn.bufnr('ropeway://answer')].filetype == 'markdown']]
  )
  t.check('the cursor stays in the code', lua([[return vim.fn.expand('%:t')]]) == 'total.py')
  t.check(
    'with its text',
    lua(
      [[return table.concat(vim.api.nvim_buf_get_lines(vim.fn.bufnr('ropeway://answer'), 0, -1, true), '|')]]
    ):find('It adds|up.', 1, true)
  )
  keys('<C-w>jq')
  until_true('q closes it', [[vim.fn.bufwinid('ropeway://answer') == -1]])

  command('Ropeway task change the other file')
  finished('a run over a file that is not open', 'applied')
  until_true('it is loaded, listed and changed', [[vim.bo[vim.fn.bufnr('other.py')].modified]])
  t.same(
    'with the edit',
    lua([[return vim.api.nvim_buf_get_lines(vim.fn.bufnr('other.py'), 0, -1, true)]]),
    { 'value = 2' }
  )
  t.same(
    'while the file on disk is as it was',
    vim.fn.readfile(dir .. '/other.py'),
    { 'value = 1' }
  )

  command('Ropeway stats')
  until_true('the readout opens', [[vim.fn.bufwinid('ropeway://stats') ~= -1]])
  t.check(
    'with numbers',
    lua(
      [[return vim.fn.search('^tokens.input', 'nw', 0, 0) > 0 or
      table.concat(vim.api.nvim_buf_get_lines(vim.fn.bufnr('ropeway://stats'), 0, -1, true), '\n')]]
    )
  )
  lua([[vim.cmd.bwipeout(vim.fn.bufnr('ropeway://stats'))]])
  command('Ropeway model play/m')
  until_true('the model is selected', [[seen.notes[#seen.notes].message:find('play/m')]])
  command('Ropeway clear')
  until_true(
    'the conversation is cleared',
    [[seen.notes[#seen.notes].message:find('clear: 0 messages')]]
  )
  command('Ropeway nonsense')
  until_true(
    'an unknown action is an error',
    [[seen.notes[#seen.notes].level == vim.log.levels.ERROR]]
  )
  command('Ropeway fix')
  until_true(
    'without a diagnostic fix says so',
    [[seen.notes[#seen.notes].message:find('no diagnostic')]]
  )
  quit()
end

--- The server dies and comes back; health.
function scenarios.restart()
  open('total.py')
  keys('Go# typed<Esc>')
  until_text('typing', table.concat(vim.fn.readfile(dir .. '/total.py'), '\n') .. '\n# typed')
  local old = server()
  vim.uv.kill(old, 'sigkill')
  until_true('the server is started again and has the file', 'seen.starts == 2')
  t.check('it is another process', server() and server() ~= old, { old, server() })
  t.check(
    'the user is told',
    lua([[return vim.iter(seen.notes):any(function(n)
    return n.message:find('starting it again') end)]])
  )
  command('%Ropeway edit use the builtin sum')
  finished('a run on the new server', 'applied')
  until_text(
    'edits the text that was typed for the old one',
    'def total(items):\n    return sum(items)\n# typed'
  )

  command('Ropeway restart')
  until_true('restart gives a third', 'seen.starts == 3')

  command('checkhealth ropeway')
  until_true('the health check is done', [[vim.bo.filetype == 'checkhealth']])
  local health = text()
  t.check(
    'it finds the program and the server',
    health:find('OK program: ') and health:find('OK server '),
    health
  )
  t.check('and no error', not health:find('ERROR'), health)
  quit()
end

t.main(assert(scenarios[scenario], 'no such scenario'))
