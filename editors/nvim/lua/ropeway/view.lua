--- Shows what the server says: answers in a split, outcomes in a line, the readout as a table.

local ropeway = require('ropeway')

local M = {}

--- Answers longer than this are cut; the server's own record has all of them.
local MAX_ANSWER = 1024 * 1024

---@class ropeway.Run
---@field client_id integer
---@field title? string

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
local function names(outcome)
  local changed = {} ---@type string[]
  for _, file in ipairs(ropeway.given(outcome.files) or {}) do
    changed[#changed + 1] = vim.fn.fnamemodify(vim.uri_to_fname(file.uri), ':t')
  end
  if #changed == 0 then
    return 'nothing'
  elseif #changed <= 3 then
    return table.concat(changed, ', ')
  end
  return ('%s and %d more files'):format(changed[1], #changed - 1)
end

--- Where the first conflict is.
---@param outcome table
---@return string
local function place(outcome)
  for _, file in ipairs(ropeway.given(outcome.files) or {}) do
    local conflict = (ropeway.given(file.conflicts) or {})[1]
    if conflict then
      local name = vim.fn.fnamemodify(vim.uri_to_fname(file.uri), ':t')
      return (' (%s:%d)'):format(name, conflict.line + 1)
    end
  end
  return ''
end

---@param outcome table
---@return string
local function cost(outcome)
  local text = ''
  local total = vim.tbl_get(outcome, 'timing', 'totalMs')
  if type(total) == 'number' then
    text = (', %.1f s'):format(total / 1000)
  end
  local dollars = vim.tbl_get(outcome, 'usage', 'costUsd')
  if type(dollars) == 'number' and dollars > 0 then
    text = text .. (', $%.3f'):format(dollars)
  end
  return text
end

--- One line that fits: a longer one makes Neovim ask for Enter, in the middle of someone's typing.
---@param message string
---@param level? integer
---@param rest? string what to do for the rest of it
local function say(message, level, rest)
  local room = math.max(vim.o.columns - 24, 40)
  local line = vim.trim((message:gsub('%s+', ' ')))
  if vim.fn.strdisplaywidth(line) > room then
    local tail = rest and ('… ' .. rest) or '…'
    line = vim.fn.strcharpart(line, 0, room - vim.fn.strcharlen(tail)) .. tail
  end
  ropeway.notify(line, level)
end

--- window/showMessage: the server says what went wrong, and what to do.
---@param params lsp.ShowMessageParams
function M.message(params)
  local levels = { vim.log.levels.ERROR, vim.log.levels.WARN }
  local message = params.message:gsub('^Ropeway: ', '')
  if params.type <= 2 then
    last_answer = message
  end
  say(message, levels[params.type] or vim.log.levels.INFO, ':Ropeway answer')
end

--- Tells how a run ended.
---@param outcome table
---@param title? string
function M.tell(outcome, title)
  local levels = vim.log.levels
  local status = ropeway.given(outcome.status)
  local answer = ropeway.given(outcome.answer) or ''
  local prefix = title and (title .. ': ') or ''
  if answer ~= '' then
    last_answer = answer:sub(1, MAX_ANSWER)
  end
  if status == 'applied' then
    say(('%schanged %s%s'):format(prefix, names(outcome), cost(outcome)))
  elseif status == 'proposed' then
    say(('%swould change %s; :Ropeway accept or reject'):format(prefix, names(outcome)))
  elseif status == 'answered' then
    M.answer()
  elseif status == 'unchanged' then
    say(prefix .. 'nothing to change')
  elseif status == 'cancelled' then
    say(prefix .. 'cancelled')
  elseif status == 'conflict' then
    say(prefix .. 'you changed the same lines, yours stay' .. place(outcome), levels.WARN)
  elseif status == 'unknown' then
    say(prefix .. 'no word whether the edit arrived: look before you go on', levels.WARN)
  elseif status == 'failed' then
    local err = ropeway.given(outcome.error) or {}
    local hint = ropeway.given(err.hint) or ''
    last_answer = ('%s%s\n\n%s'):format(prefix, ropeway.given(err.message) or 'failed', hint)
    say(last_answer, levels.ERROR, ':Ropeway answer')
  end
  if status == 'proposed' then
    proposed = outcome.runId
  elseif proposed == outcome.runId then
    proposed = nil
  end
end

--- How runs end of which the server says nothing itself.
local silent = { applied = true, proposed = true, answered = true, cancelled = true }

---@param event ropeway.Event|table
---@param client_id integer
function M.event(event, client_id)
  if event.kind == 'started' then
    runs[event.runId] = { client_id = client_id, title = ropeway.given(event.title) }
  elseif event.kind == 'finished' then
    local run = runs[event.runId]
    runs[event.runId] = nil
    if silent[event.status] then
      M.tell(event, run and run.title)
    end
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
