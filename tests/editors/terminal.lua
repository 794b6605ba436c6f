--- One who uses an editor in a terminal: this Neovim is the terminal. Keys go through the editor's own input, and what
--- is waited for is what its screen shows.

local t = require('check')

local M = {}

local job ---@type integer what is sent to it is typed
local pid ---@type integer
local buffer ---@type integer
local ended ---@type integer? the editor's exit code

--- A page of the documentation.
---@param path string from the root of the repository
---@return string
function M.read(path)
  return table.concat(vim.fn.readfile(vim.env.ROPEWAY_TEST_ROOT .. '/' .. path), '\n') .. '\n'
end

--- The first code block of a section, as users copy it.
---@param page string
---@param section string how its heading begins
---@param language string
---@return string
function M.block(page, section, language)
  local from = assert(page:find('\n## ' .. section, 1, true), 'no section ' .. section)
  local block = page:match('\n```' .. language .. '\n(.-)\n```', from)
  return assert(block, 'no block in section ' .. section) .. '\n'
end

--- Writes a file of the user's home.
---@param path string from the home
---@param text string
function M.home(path, text)
  local file = vim.env.HOME .. '/' .. path
  vim.fn.mkdir(vim.fs.dirname(file), 'p')
  vim.fn.writefile(vim.split(text, '\n'), file)
end

--- What the screen shows.
---@return string
function M.screen()
  local lines = vim.api.nvim_buf_get_lines(buffer, -vim.api.nvim_win_get_height(0) - 1, -1, false)
  return table.concat(lines, '\n')
end

--- Waits until the screen shows this.
---@param name string
---@param plain string
function M.until_shown(name, plain)
  t.wait(name, function()
    return M.screen():find(plain, 1, true)
  end, function()
    return { wanted = plain, screen = vim.split(M.screen(), '\n') }
  end)
end

--- Waits until the screen no longer shows this.
---@param name string
---@param plain string
function M.until_gone(name, plain)
  t.wait(name, function()
    return not M.screen():find(plain, 1, true)
  end, function()
    return { unwanted = plain, screen = vim.split(M.screen(), '\n') }
  end)
end

--- Types.
---@param keys string as |nvim_replace_termcodes()| has them
function M.keys(keys)
  vim.fn.chansend(job, vim.api.nvim_replace_termcodes(keys, true, true, true))
end

--- Opens a menu. A server that has only just started may have nothing to offer yet: the editor says so, and the menu is
--- opened again.
---@param name string
---@param keys string
---@param plain string an entry
---@param nothing string a pattern of what the editor says when there is none
function M.until_offered(name, keys, plain, nothing)
  M.keys(keys)
  t.wait(name, function()
    if M.screen():find(nothing) then
      M.keys(keys)
      -- The keys take the words away, to begin with.
      vim.wait(500, function()
        return not M.screen():find(nothing)
      end, 1)
    end
    return M.screen():find(plain, 1, true)
  end, function()
    return { wanted = plain, screen = vim.split(M.screen(), '\n') }
  end)
end

--- Stays here until the test says to go on.
function M.gate(name)
  io.write('gate ' .. name .. '\n')
  io.flush()
  assert(io.read('*l') == 'go ' .. name, 'the test has gone away')
end

--- Starts an editor, with `ropeway` on its PATH.
---@param command string[]
---@param dir string
---@param env? table<string, string>
function M.start(command, dir, env)
  local bin = vim.env.HOME .. '/bin'
  vim.fn.mkdir(bin, 'p')
  assert(vim.uv.fs_symlink(assert(vim.env.ROPEWAY_TEST_PROGRAM), bin .. '/ropeway'))
  vim.o.columns, vim.o.lines = 100, 30
  vim.o.showtabline, vim.o.laststatus = 0, 0
  buffer = vim.api.nvim_get_current_buf()
  job = vim.fn.jobstart(command, {
    term = true,
    cwd = dir,
    env = vim.tbl_extend('force', {
      PATH = bin .. ':' .. vim.env.PATH,
      TERM = 'xterm-256color',
      VIMRUNTIME = '',
    }, env or {}),
    on_exit = function(_, code)
      ended = code
    end,
  })
  assert(job > 0, 'the editor does not start')
  pid = vim.fn.jobpid(job)
end

--- The processes of Ropeway below this one.
---@return integer
local function servers()
  local all, found = {}, 0
  for name in vim.fs.dir('/proc') do
    local file = name:match('^%d+$') and io.open('/proc/' .. name .. '/stat')
    local stat = file and file:read('*a')
    if file then
      file:close()
    end
    local program, state, parent = (stat or ''):match('%((.-)%) (%a) (%d+)')
    if program and state ~= 'Z' then
      all[tonumber(name)] = { program = program, parent = tonumber(parent) }
    end
  end
  for _, process in pairs(all) do
    local at = process.program == 'ropeway' and process.parent
    while at and at ~= pid do
      at = all[at] and all[at].parent
    end
    found = found + (at and 1 or 0)
  end
  return found
end

--- Waits until the server runs.
function M.until_served()
  t.wait('the editor starts ropeway', function()
    return servers() > 0
  end, M.screen)
end

--- Waits until the editor has ended.
function M.until_ended()
  t.wait('the editor ends', function()
    return ended
  end, M.screen)
  t.same('in good order', ended, 0)
end

--- What comes after Implement was picked: the edit arrives, one undo takes it back, the editor is left.
---@param undo string keys
---@param leave string keys
function M.edit_undo_leave(undo, leave)
  M.gate('asked')
  M.until_shown('the edit arrives', 'return sum(items)')
  M.until_gone('in place of what was there', 'for item in items')
  M.keys(undo)
  M.until_shown('one undo takes it back', 'for item in items')
  M.keys(leave)
  M.until_ended()
end

return M
