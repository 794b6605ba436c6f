--- One who uses Neovim: this Neovim drives another one over its RPC. Keys go through that one's own input loop, so
--- insert mode, undo blocks and the command line are what a user has.

local t = require('check')

local M = {}

local here ---@type string where the tests are
local editor ---@type integer channel of the Neovim under test
local ended ---@type integer? its exit code

---@param tests string the directory of the tests
---@param dir string the workspace
function M.sits(tests, dir)
  here, M.dir = tests, dir
end

--- Runs Lua in the editor.
function M.lua(code, ...)
  return vim.rpcrequest(editor, 'nvim_exec_lua', code, { ... })
end

--- Presses keys, as |nvim_input()| has them.
function M.keys(text)
  vim.rpcrequest(editor, 'nvim_input', text)
end

--- Runs a command line by typing it.
function M.command(line)
  M.keys(':' .. line:gsub('<', '<LT>') .. '<CR>')
end

--- The text of the current buffer.
function M.text()
  return table.concat(vim.rpcrequest(editor, 'nvim_buf_get_lines', 0, 0, -1, true), '\n')
end

function M.mode()
  return vim.rpcrequest(editor, 'nvim_get_mode').mode
end

--- Stays here until the test says to go on.
function M.gate(name)
  io.write('gate ' .. name .. '\n')
  io.flush()
  assert(io.read('*l') == 'go ' .. name, 'the test has gone away')
end

--- Waits until this Lua expression is true in the editor.
function M.until_true(name, expression, detail)
  return t.wait(name, function()
    return M.lua('return (' .. expression .. ') and true or false')
  end, function()
    return M.lua('return ' .. (detail or 'seen'))
  end)
end

function M.until_text(name, want)
  t.wait(name, function()
    return M.text() == want
  end, function()
    return { got = M.text(), want = want }
  end)
end

--- What the plugin last told the user.
function M.until_told(name, pattern)
  M.until_true(
    name,
    ('#seen.notes > 0 and seen.notes[#seen.notes].message:find(%q)'):format(pattern),
    'seen.notes'
  )
end

--- The lines of the window below, as an expression; and where its cursor is not: the user's own window keeps it.
M.BELOW = [[(function()
  for _, win in ipairs(vim.api.nvim_list_wins()) do
    local bufnr = vim.api.nvim_win_get_buf(win)
    if vim.startswith(vim.api.nvim_buf_get_name(bufnr), 'ropeway://') then
      return table.concat(vim.api.nvim_buf_get_lines(bufnr, 0, -1, true), '\n')
    end
  end
  return ''
end)()]]

--- Waits until the window below has this text.
function M.until_below(name, plain)
  M.until_true(name, ('%s:find(%q, 1, true)'):format(M.BELOW, plain), M.BELOW)
end

--- Waits for the run's end and checks how it ended.
function M.finished(name, status)
  M.until_true(name, "#seen.events > 0 and seen.events[#seen.events].kind == 'finished'")
  local last = M.lua('local event = seen.events[#seen.events] seen.events = {} return event')
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

--- The process of the language server.
---@return integer? pid
function M.server()
  local pid = vim.rpcrequest(editor, 'nvim_call_function', 'getpid', {})
  return children(pid)[1]
end

--- Starts an editor on a file of the workspace.
---@param name string
---@param init? string its init.lua, if not the one of these tests
function M.start(name, init)
  local command = { vim.v.progpath, '--embed', '--headless', '-i', 'NONE', '-n' }
  vim.list_extend(command, { '-u', init or (here .. '/init.lua'), M.dir .. '/' .. name })
  editor = vim.fn.jobstart(command, {
    rpc = true,
    cwd = M.dir,
    on_exit = function(_, code)
      ended = code
    end,
  })
  assert(editor > 0, 'the editor does not start')
end

--- Opens a file in a new editor and waits until the server has it.
---@param name string
function M.open(name)
  M.start(name)
  M.until_true(
    'the server starts and takes the file',
    "seen.starts == 1 and require('ropeway').client(0, true)"
  )
end

--- Leaves the editor; its server must not outlive it.
function M.quit()
  local pid = M.server()
  t.check('the server runs', pid)
  -- Its channel closes before it can answer.
  pcall(M.keys, '<Esc>:qall!<CR>')
  t.wait('the editor ends', function()
    return ended
  end)
  t.same('in good order', ended, 0)
  t.wait('and the server with it', function()
    return not pid or not process(pid)
  end)
end

return M
