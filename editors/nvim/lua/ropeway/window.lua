--- The split below in which everything that is read, not edited, is shown.

local M = {}

--- The buffer of this name, made if need be. It is neither listed nor saved; `q` closes its window.
---@param name string
---@param filetype string
---@return integer bufnr
function M.buffer(name, filetype)
  local bufnr = -1
  for _, other in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_get_name(other) == name and vim.api.nvim_buf_is_loaded(other) then
      bufnr = other
    end
  end
  if bufnr == -1 then
    bufnr = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(bufnr, name)
    vim.bo[bufnr].modifiable = false
    -- Nobody takes back what the server said.
    vim.bo[bufnr].undolevels = -1
    vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = bufnr, desc = 'Close', nowait = true })
  end
  if vim.bo[bufnr].filetype ~= filetype then
    vim.bo[bufnr].filetype = filetype
  end
  return bufnr
end

--- Changes such a buffer.
---@param bufnr integer
---@param change fun()
function M.write(bufnr, change)
  vim.bo[bufnr].modifiable = true
  local ok, err = pcall(change)
  vim.bo[bufnr].modifiable = false
  vim.bo[bufnr].modified = false
  if not ok then
    error(err, 0)
  end
end

--- The window below that shows something of ours, if one is open in this tab page.
---@return integer?
local function ours()
  for _, win in ipairs(vim.api.nvim_tabpage_list_wins(0)) do
    local name = vim.api.nvim_buf_get_name(vim.api.nvim_win_get_buf(win))
    if vim.startswith(name, 'ropeway://') then
      return win
    end
  end
end

---@class ropeway.Look
---@field title string what the window's own status line says
---@field hint? string which keys do something there
---@field tall? boolean as high as it may be at once: what grows must not push the user's text about
---@field options? table<string, any> of the window, beside those that make it readable

--- Text for a status line: no `%` of it means anything.
---@param text string
---@return string
local function plain(text)
  return (text:gsub('%%', '%%%%'))
end

--- Shows a buffer in the window below; the cursor stays where the user types. One window serves for all.
---@param bufnr integer
---@param look ropeway.Look
---@return integer win
function M.show(bufnr, look)
  local win = vim.fn.bufwinid(bufnr)
  if win == -1 then
    local most = math.floor(vim.o.lines * 0.4)
    local wanted = look.tall and most or vim.api.nvim_buf_line_count(bufnr) + 1
    wanted = math.max(8, math.min(wanted, most))
    win = ours() or -1
    if win == -1 then
      local from = vim.api.nvim_get_current_win()
      vim.cmd('noautocmd keepalt botright split')
      win = vim.api.nvim_get_current_win()
      vim.api.nvim_win_set_height(win, wanted)
      vim.api.nvim_set_current_win(from)
    end
    vim.api.nvim_win_set_buf(win, bufnr)
    if vim.api.nvim_win_get_height(win) < wanted then
      vim.api.nvim_win_set_height(win, wanted)
    end
    vim.api.nvim_win_set_cursor(win, { 1, 0 })
  end
  local all = vim.tbl_extend('force', {
    wrap = true,
    linebreak = true,
    number = false,
    relativenumber = false,
    signcolumn = 'no',
    spell = false,
    list = false,
    conceallevel = 2,
    foldmethod = 'manual',
    foldenable = false,
    fillchars = 'eob: ',
    statusline = (' Ropeway: %s%%=%s '):format(
      plain(look.title),
      plain((look.hint and (look.hint .. ' · ') or '') .. 'q closes')
    ),
  }, look.options or {})
  -- The way to fold first: the rest depends on it.
  for _, name in ipairs({ 'foldexpr', 'foldmethod' }) do
    if all[name] then
      vim.api.nvim_set_option_value(name, all[name], { win = win, scope = 'local' })
    end
  end
  for name, value in pairs(all) do
    vim.api.nvim_set_option_value(name, value, { win = win, scope = 'local' })
  end
  return win
end

--- Fills a buffer and shows it from its beginning.
---@param name string
---@param lines string[]
---@param filetype string
---@param look ropeway.Look
---@return integer bufnr
---@return integer win
function M.page(name, lines, filetype, look)
  local bufnr = M.buffer(name, filetype)
  M.write(bufnr, function()
    vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, lines)
  end)
  local win = M.show(bufnr, look)
  vim.api.nvim_win_set_cursor(win, { 1, 0 })
  return bufnr, win
end

--- A table as lines, columns aligned; numbers to the right.
---@param columns string[]
---@param rows table[] cells by name of column
---@return string[]
function M.table(columns, rows)
  local cells = {} ---@type string[][]
  local widths, right = {}, {} ---@type integer[], boolean[]
  for at, column in ipairs(columns) do
    widths[at], right[at] = vim.fn.strdisplaywidth(column), #rows > 0
  end
  for _, row in ipairs(rows) do
    local line = {} ---@type string[]
    for at, column in ipairs(columns) do
      local value = row[column]
      if value == nil or value == vim.NIL then
        value = ''
      elseif type(value) ~= 'number' then
        right[at] = false
      elseif value % 1 ~= 0 then
        value = ('%.2f'):format(value)
      end
      line[at] = (tostring(value):gsub('[%c]+', ' '))
      widths[at] = math.max(widths[at], vim.fn.strdisplaywidth(line[at]))
    end
    cells[#cells + 1] = line
  end
  table.insert(cells, 1, columns)
  return vim.tbl_map(function(line)
    local padded = {} ---@type string[]
    for at, text in ipairs(line) do
      local fill = (' '):rep(widths[at] - vim.fn.strdisplaywidth(text))
      padded[at] = right[at] and (fill .. text) or (text .. fill)
    end
    return (table.concat(padded, '  '):gsub('%s+$', ''))
  end, cells)
end

return M
