--- Shows what the server says: answers in a split, outcomes in a line, the readout as a table.

local ropeway = require('ropeway')

local M = {}

--- Answers longer than this are cut; the server's own record has all of them.
local MAX_ANSWER = 1024 * 1024

---@class ropeway.Run
---@field client_id integer
---@field title string

---@type table<string, ropeway.Run>
local runs = {}
---@type string? what the last run answered, or why it failed
local last_answer
---@type string? the run whose edits wait for an answer
local proposed

---@return string
function M.log_path()
  return vim.lsp.log and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
end

---@return string?
function M.proposed()
  return proposed
end

--- Makes a window below show a buffer as Markdown to be read, not edited.
---@param bufnr integer
local function show(bufnr)
  local win = vim.fn.bufwinid(bufnr)
  if win == -1 then
    local from = vim.api.nvim_get_current_win()
    vim.cmd('botright split')
    win = vim.api.nvim_get_current_win()
    vim.api.nvim_win_set_buf(win, bufnr)
    local lines = vim.api.nvim_buf_line_count(bufnr)
    vim.api.nvim_win_set_height(
      win,
      math.max(5, math.min(lines + 1, math.floor(vim.o.lines * 0.4)))
    )
    -- The user may be typing: the window comes up, the cursor stays.
    vim.api.nvim_set_current_win(from)
  end
  for name, value in pairs({
    wrap = true,
    linebreak = true,
    number = false,
    relativenumber = false,
    signcolumn = 'no',
    spell = false,
    conceallevel = 2,
  }) do
    vim.api.nvim_set_option_value(name, value, { win = win, scope = 'local' })
  end
  vim.api.nvim_win_set_cursor(win, { 1, 0 })
end

---@param name string
---@param lines string[]
---@param filetype string
local function scratch(name, lines, filetype)
  local bufnr = vim.fn.bufnr(name)
  if bufnr == -1 then
    bufnr = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(bufnr, name)
    vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = bufnr, desc = 'Close', nowait = true })
  end
  vim.bo[bufnr].modifiable = true
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, lines)
  vim.bo[bufnr].modifiable = false
  vim.bo[bufnr].filetype = filetype
  show(bufnr)
end

--- Shows the last answer (again).
function M.answer()
  if not last_answer then
    ropeway.notify('no answer yet.')
    return
  end
  scratch('ropeway://answer', vim.split(last_answer, '\r?\n'), 'markdown')
end

---@param outcome table
---@return string
local function sum(outcome)
  local parts = {} ---@type string[]
  local steps = ropeway.given(outcome.steps)
  if steps then
    parts[#parts + 1] = steps == 1 and '1 step' or (steps .. ' steps')
  end
  local total = vim.tbl_get(outcome, 'timing', 'totalMs')
  if type(total) == 'number' then
    parts[#parts + 1] = ('%.1f s'):format(total / 1000)
  end
  local cost = vim.tbl_get(outcome, 'usage', 'costUsd')
  if type(cost) == 'number' and cost > 0 then
    parts[#parts + 1] = ('$%.3f'):format(cost)
  end
  return #parts > 0 and (' (' .. table.concat(parts, ', ') .. ')') or ''
end

---@param outcome table
---@return string
local function files(outcome)
  local names = vim.tbl_map(function(file)
    return vim.fn.fnamemodify(vim.uri_to_fname(file.uri), ':t')
  end, ropeway.given(outcome.files) or {})
  if #names == 0 then
    return 'nothing'
  elseif #names <= 3 then
    return table.concat(names, ', ')
  end
  return ('%s and %d more files'):format(names[1], #names - 1)
end

--- One line that fits: a longer one makes Neovim ask for Enter, in the middle of someone's typing. The whole of it can
--- be had with `:Ropeway answer`.
---@param message string
---@param level? integer
local function say(message, level)
  local room = math.max(vim.o.columns - 24, 40)
  local line = vim.trim((message:gsub('%s+', ' ')))
  if vim.fn.strdisplaywidth(line) > room then
    last_answer = message
    line = vim.fn.strcharpart(line, 0, room - 18) .. '… :Ropeway answer'
  end
  ropeway.notify(line, level)
end

--- window/showMessage: the server says what went wrong, and what to do.
---@param params lsp.ShowMessageParams
function M.message(params)
  local levels = { vim.log.levels.ERROR, vim.log.levels.WARN }
  say((params.message:gsub('^Ropeway: ', '')), levels[params.type] or vim.log.levels.INFO)
end

--- Tells how a run ended, where the server does not.
---@param outcome table
---@param title string
local function tell(outcome, title)
  local status = outcome.status
  local answer = ropeway.given(outcome.answer)
  if answer and answer ~= '' then
    last_answer = answer:sub(1, MAX_ANSWER)
  end
  if status == 'applied' then
    say(('%s: changed %s%s'):format(title, files(outcome), sum(outcome)))
  elseif status == 'proposed' then
    say(('%s: would change %s; :Ropeway accept or reject'):format(title, files(outcome)))
  elseif status == 'answered' then
    M.answer()
  elseif status == 'cancelled' then
    say(title .. ': cancelled')
  end
  if status == 'proposed' then
    proposed = outcome.runId
  elseif proposed == outcome.runId then
    proposed = nil
  end
end

---@param event ropeway.Event|table
---@param client_id integer
function M.event(event, client_id)
  if event.kind == 'started' then
    runs[event.runId] = { client_id = client_id, title = ropeway.given(event.title) or 'run' }
  elseif event.kind == 'finished' then
    local run = runs[event.runId]
    runs[event.runId] = nil
    tell(event, run and run.title or 'run')
  end
end

--- The server is gone, and with it its runs.
---@param client_id integer
function M.ended(client_id)
  for id, run in pairs(runs) do
    if run.client_id == client_id then
      runs[id] = nil
    end
  end
end

--- Every value of the readout on a line of its own.
---@param stats table
function M.stats(stats)
  local rows = {} ---@type { [1]: string, [2]: string }[]
  local widest = 0
  ---@param prefix string
  ---@param value any
  local function add(prefix, value)
    if type(value) == 'table' and next(value) ~= nil then
      local keys = vim.tbl_keys(value)
      table.sort(keys, function(a, b)
        return type(a) == 'number' and type(b) == 'number' and a < b or tostring(a) < tostring(b)
      end)
      for _, key in ipairs(keys) do
        add(prefix == '' and tostring(key) or (prefix .. '.' .. key), value[key])
      end
    elseif value ~= vim.NIL and type(value) ~= 'table' then
      local text = type(value) == 'number' and value % 1 ~= 0 and ('%.3f'):format(value)
        or (tostring(value):gsub('\n', ' '))
      rows[#rows + 1] = { prefix, text }
      widest = math.max(widest, #prefix)
    end
  end
  add('', stats or {})
  local lines = vim.tbl_map(function(row)
    return row[1] .. (' '):rep(widest - #row[1] + 2) .. row[2]
  end, rows)
  scratch('ropeway://stats', lines, 'ropeway-stats')
end

--- window/showDocument: an answer that the server wrote to a file opens below, all else as Neovim does it.
---@param err any
---@param params lsp.ShowDocumentParams
---@param ctx lsp.HandlerContext
---@param config any
---@return lsp.ShowDocumentResult
function M.show_document(err, params, ctx, config)
  local path = vim.startswith(params.uri, 'file:') and vim.uri_to_fname(params.uri) or ''
  local client = vim.lsp.get_client_by_id(ctx.client_id)
  local root = client and client.config.root_dir
  local inside = root and vim.startswith(path, root .. '/')
  if ropeway.given(params.external) or inside or not path:find('%.md$') then
    return vim.lsp.handlers['window/showDocument'](err, params, ctx, config)
  end
  local bufnr = vim.fn.bufadd(path)
  vim.fn.bufload(bufnr)
  vim.bo[bufnr].readonly = true
  vim.bo[bufnr].filetype = 'markdown'
  show(bufnr)
  if ropeway.given(params.takeFocus) then
    vim.api.nvim_set_current_win(vim.fn.bufwinid(bufnr))
  end
  return { success = true }
end

return M
