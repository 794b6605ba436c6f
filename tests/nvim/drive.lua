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

--- The lines of the window below, and where its cursor is not: the user's own window keeps it.
local BELOW = [[(function()
  for _, win in ipairs(vim.api.nvim_list_wins()) do
    local bufnr = vim.api.nvim_win_get_buf(win)
    if vim.startswith(vim.api.nvim_buf_get_name(bufnr), 'ropeway://') then
      return table.concat(vim.api.nvim_buf_get_lines(bufnr, 0, -1, true), '\n')
    end
  end
  return ''
end)()]]

--- Waits until the window below has this text.
local function until_below(name, plain)
  until_true(name, ('%s:find(%q, 1, true)'):format(BELOW, plain), BELOW)
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
  until_below('the answer opens below', 'It adds\nup.')
  t.check('the cursor stays in the code', lua([[return vim.fn.expand('%:t')]]) == 'total.py')
  keys('<C-w>j')
  until_true('as Markdown', [[vim.bo.filetype == 'markdown']], 'vim.bo.filetype')
  keys('q')
  until_true('q closes it', BELOW .. " == ''")

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
  t.check(
    'and with a row for each operation',
    lua(
      [[return table.concat(vim.api.nvim_buf_get_lines(vim.fn.bufnr('ropeway://stats'), 0, -1, true), '\n')
      :find('\nrequest +[1-9]') ~= nil]]
    )
  )
  lua([[vim.cmd.bwipeout(vim.fn.bufnr('ropeway://stats'))]])
  command('Ropeway tokens')
  until_below('the conversation is shown with its tokens', '\n## user · ')
  command('Ropeway analytics tools')
  until_below('and the tools as a table', 'edit_file')
  command('Ropeway changes')
  until_true('the changed places are a quickfix list', [[vim.bo.buftype == 'quickfix']])
  t.same(
    'of the place',
    lua([[return vim.tbl_map(function(item)
      return { vim.fs.basename(vim.api.nvim_buf_get_name(item.bufnr)), item.lnum, item.text }
    end, vim.fn.getqflist())]]),
    { { 'other.py', 1, 'value = 2' } }
  )
  command('cclose')
  lua([[vim.ui.open = function(what)
    seen.opened = what
    return { wait = function() return { code = 0 } end }
  end]])
  command('Ropeway report')
  until_true(
    'the report is opened by what opens pages',
    [[seen.opened and seen.opened:find('/reports/run%-[%w-]+%.html$')]],
    'seen.opened'
  )
  until_true(
    'and its place is said',
    [[seen.notes[#seen.notes].message:find('the report is /', 1, true)]],
    'seen.notes'
  )
  t.same(
    'models are completed',
    lua([[return vim.fn.getcompletion('Ropeway model p', 'cmdline')]]),
    { 'play/m' }
  )
  local offered = lua([[
    local commands = require('ropeway').client().server_capabilities.executeCommandProvider.commands
    for i, name in ipairs(commands) do
      if name == 'ropeway.stats' then table.remove(commands, i) end
    end
    return vim.fn.getcompletion('Ropeway ', 'cmdline')]])
  t.check('words are completed', vim.list_contains(offered, 'tokens'), offered)
  t.check(
    'but not one that the server has no command for',
    not vim.list_contains(offered, 'stats'),
    offered
  )
  command('Ropeway stats')
  until_true(
    'which says what is missing',
    [[seen.notes[#seen.notes].message:find('has no `ropeway.stats`', 1, true)]],
    'seen.notes'
  )
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

--- The answer is read while it comes.
function scenarios.stream()
  open('total.py')
  t.check(
    'the status line is plain text at rest',
    lua([[return vim.api.nvim_eval_statusline("%{v:lua.require'ropeway'.status()}", {}).str]]):find(
      '^ropeway'
    )
  )
  keys('<Esc>')
  command('Ropeway explain')
  gate('asked')
  until_below('text comes while the model speaks', 'It **adds**')
  until_below('a call that was made meanwhile has ended', '\n✓ ')
  until_true(
    'the status line says so',
    [[vim.api.nvim_eval_statusline("%{v:lua.require'ropeway'.status()}", {}).str:find('^ropeway %a+ · Explain')]],
    [[require('ropeway').status()]]
  )
  t.check('the cursor stays in the code', lua([[return vim.fn.expand('%:t')]]) == 'total.py')
  gate('read')
  finished('the run', 'answered')
  until_below('the rest comes below the calls', '\n\nNothing else.\n')
  until_below('and how it ended', '\n*answered')
  quit()
end

--- A command waits for the user, not the user for it.
function scenarios.approval()
  open('total.py')
  lua([[seen.allow = 'Allow once']])
  command('Ropeway task run it')
  gate('asked')
  keys('Go')
  until_true('the user types', [[vim.api.nvim_get_mode().mode == 'i']])
  gate('typing')
  until_true(
    'a question that comes meanwhile is announced',
    [[vim.iter(seen.notes):any(function(n) return n.message:find('a question waits') end)]],
    'seen.notes'
  )
  keys('1')
  until_true('the keys go to the text', [[vim.api.nvim_get_current_line() == '1']])
  t.same('and answer nothing', lua('return seen.question'), vim.NIL)
  keys('<Esc>')
  until_true('the menu opens in Normal mode', 'seen.question')
  local question = lua('return seen.question')
  t.check('with the command', question.prompt:find('printf', 1, true), question)
  t.check(
    'and a no',
    vim.list_contains(question.choices, 'Deny')
      and vim.list_contains(question.choices, 'Allow once'),
    question
  )
  finished('the run', 'answered')
  command('Ropeway answer')
  until_below('what the command printed is there', '\n│ one\n│ two\n')
  until_below('below its call', '✓ ')
  keys('<C-w>j')
  until_true(
    'folded away',
    [[vim.fn.foldclosed(vim.fn.search('^│ one', 'nw')) > 0]],
    '{ vim.wo.foldmethod, vim.wo.foldexpr, vim.wo.foldenable, vim.wo.foldlevel }'
  )
  quit()
end

--- A proposed edit is looked at, taken, and another one dropped.
function scenarios.preview()
  open('total.py')
  local before = text()
  command('%Ropeway edit use the builtin sum')
  finished('the run', 'proposed')
  until_below('the diff opens', '+    return sum(items)')
  t.same('nothing is changed', text(), before)
  keys('<C-w>ja')
  until_true('a takes it, and the diff closes', BELOW .. " == ''", BELOW)
  until_text('the edit is there', 'def total(items):\n    return sum(items)')
  command('Ropeway changes')
  until_true('the place is listed', [[vim.bo.buftype == 'quickfix']])
  t.same(
    'where it is',
    lua([[return vim.tbl_map(function(i) return { i.lnum, i.text } end, vim.fn.getqflist())]]),
    { { 2, 'return sum(items)' } }
  )
  command('cclose')
  command('%Ropeway edit say it in words')
  until_below('the next diff opens', '+    return 0')
  until_true('and is proposed', [[require('ropeway.view').proposed() ~= nil]])
  command('Ropeway reject')
  until_true('which can be dropped', BELOW .. " == ''", BELOW)
  t.same('and is not there', text(), 'def total(items):\n    return sum(items)')
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
