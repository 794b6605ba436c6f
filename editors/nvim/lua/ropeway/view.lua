--- Shows what the server says: answers in a split, outcomes in a line, numbers as tables.

local approval = require('ropeway.approval')
local changes = require('ropeway.changes')
local ropeway = require('ropeway')
local stream = require('ropeway.stream')
local window = require('ropeway.window')

local M = {}

---@class ropeway.Run
---@field client_id integer
---@field title? string
---@field question? string what it has asked the user last
---@field opens? boolean does its window open as soon as there is text?

---@type table<string, ropeway.Run>
local runs = {}
---@type string? the last message that was too long for its line; the next run forgets it
local last_answer
---@type table<string, true> runs to open of which nothing has been heard yet
local to_open = {}
---@type string? the run whose edits wait for an answer
local proposed

---@return string
function M.log_path()
  return vim.lsp.log and vim.lsp.log.get_filename() or vim.lsp.get_log_path() ---@diagnostic disable-line: deprecated
end

---@return string?
function M.proposed()
  return proposed
end

--- Shows the last message that did not fit its line, else the last run, as it goes or as it went.
---@param id? string a run
function M.answer(id)
  if not id and last_answer then
    window.page(
      'ropeway://answer',
      vim.split(last_answer, '\r?\n'),
      'markdown',
      { title = 'message' }
    )
  elseif not stream.show(id) then
    ropeway.notify('no answer yet.')
  end
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
---@param title? string of the run; shortened before the message is
local function say(message, level, rest, title)
  local room = math.max(vim.o.columns - 24, 40)
  local line = vim.trim((message:gsub('%s+', ' ')))
  local left = room - vim.fn.strdisplaywidth(line) - 2
  if title and left >= 8 then
    if vim.fn.strdisplaywidth(title) > left then
      title = vim.fn.strcharpart(title, 0, left - 1) .. '…'
    end
    line = title .. ': ' .. line
  end
  if vim.fn.strdisplaywidth(line) > room then
    local tail = rest and ('… ' .. rest) or '…'
    line = vim.fn.strcharpart(line, 0, room - vim.fn.strcharlen(tail)) .. tail
  end
  ropeway.notify(line, level)
end

--- window/showMessage: the server says what went wrong, and what to do.
---@param params lsp.ShowMessageParams|lsp.ShowMessageRequestParams
function M.message(params)
  local levels = { vim.log.levels.ERROR, vim.log.levels.WARN } ---@type table<integer, integer>
  local message = params.message:gsub('^Ropeway: ', '')
  if params.type <= 2 then
    last_answer = message
  end
  say(message, levels[params.type] or vim.log.levels.INFO, ':Ropeway answer')
end

--- Tells how a run ended.
---@param outcome table
---@param title? string
---@return string how in one line, for the run's own window
function M.tell(outcome, title)
  local levels = vim.log.levels
  local status = ropeway.given(outcome.status)
  changes.finished(outcome, title)
  local how, level, rest ---@type string, integer?, string?
  if status == 'applied' then
    how = ('changed %s%s'):format(names(outcome), cost(outcome))
  elseif status == 'proposed' then
    how = ('would change %s; :Ropeway accept or reject'):format(names(outcome))
  elseif status == 'answered' then
    how = 'answered' .. cost(outcome)
  elseif status == 'unchanged' then
    how = 'nothing to change'
  elseif status == 'cancelled' then
    how = 'cancelled'
  elseif status == 'conflict' then
    how, level = 'you changed the same lines, yours stay' .. place(outcome), levels.WARN
  elseif status == 'unknown' then
    how, level = 'no word whether the edit arrived: look before you go on', levels.WARN
  elseif status == 'failed' then
    local err = ropeway.given(outcome.error) or {}
    how, level, rest = ropeway.given(err.message) or 'failed', levels.ERROR, ':Ropeway answer'
    last_answer = ('%s\n\n%s'):format(how, ropeway.given(err.hint) or '')
  else
    how = 'ended'
  end
  -- An answer is its own message, where its window opens.
  if status ~= 'answered' or ropeway.opts.window == 'never' then
    say(how, level, rest, title)
  end
  if status == 'proposed' then
    proposed = outcome.runId
  elseif proposed == outcome.runId then
    proposed = nil
    changes.close(outcome.runId)
  end
  return how
end

--- A proposed edit was dropped.
---@param id string
function M.rejected(id)
  if proposed == id then
    proposed = nil
  end
  changes.close(id)
  ropeway.notify('the proposed edit is dropped.')
end

--- A run of this action was started: some are there to be read while they speak.
---@param id string
---@param action string
function M.started(id, action)
  local wanted = ropeway.opts.window
  if wanted == 'always' or (wanted == 'answer' and action == 'explain') then
    if runs[id] then
      runs[id].opens = true
    else
      to_open[id] = true
    end
  end
end

--- How runs end of which the server says nothing itself.
local silent = { applied = true, proposed = true, answered = true, cancelled = true }

---@param event table
---@param run? ropeway.Run
local function finished(event, run)
  local title = run and run.title
  local how ---@type string
  if silent[event.status] then
    how = M.tell(event, title)
  else
    changes.finished(event, title)
    local err = ropeway.given(event.error) or {}
    how = ropeway.given(err.message) or ropeway.given(event.status) or 'ended'
  end
  stream.finish(event.runId, how)
  if ropeway.opts.window == 'never' then
    return
  elseif event.status == 'answered' then
    stream.show(event.runId)
  elseif event.status == 'proposed' then
    changes.show(event.runId, proposed)
  end
end

---@param event ropeway.Event|table
---@param client_id integer
function M.event(event, client_id)
  local kind, id = event.kind, event.runId
  if kind == 'started' then
    last_answer = nil
    runs[id] = { client_id = client_id, title = ropeway.given(event.title), opens = to_open[id] }
    to_open[id] = nil
  end
  local run = runs[id]
  stream.event(event, client_id)
  if run and run.opens and (kind == 'text' or kind == 'toolStarted') then
    run.opens = nil
    stream.show(id)
  end
  if kind == 'staged' then
    changes.staged(event, run and run.title)
  elseif kind == 'approval' and run then
    local answered = ropeway.given(event.answer)
    run.question = not answered and event.message or nil
    if answered then
      approval.withdraw(client_id, event.message)
    end
  elseif kind == 'finished' then
    runs[id] = nil
    if run and run.question then
      approval.withdraw(client_id, run.question)
    end
    finished(event, run)
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
  to_open = {}
  approval.withdraw(client_id)
  stream.ended(client_id)
end

--- The times of each operation, in milliseconds: of the session, and of the last minutes.
---@param all table<string, table>
---@return string[]
local function operations(all)
  local known = vim.tbl_keys(all)
  if #known == 0 then
    return {}
  end
  table.sort(known)
  local rows = vim.tbl_map(function(name)
    local recent = ropeway.given(all[name].recent) or {}
    return vim.tbl_extend('force', all[name], {
      operation = name,
      recent = recent.count,
      ['recent p95'] = recent.p95,
    })
  end, known)
  local columns =
    { 'operation', 'count', 'errors', 'p50', 'p95', 'p99', 'max', 'recent', 'recent p95' }
  return vim.list_extend({ '', '# ms' }, window.table(columns, rows))
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
  local flat = vim.tbl_extend('force', {}, stats or {})
  flat.operations = nil
  add('', flat)
  local lines = vim.tbl_map(function(row)
    return row[1] .. (' '):rep(widest - #row[1] + 2) .. row[2]
  end, rows)
  vim.list_extend(lines, operations(ropeway.given(stats and stats.operations) or {}))
  window.page('ropeway://stats', lines, 'ropeway-stats', { title = 'readout' })
end

--- The conversation, message by message, with what each costs in tokens.
---@param dump table
function M.tokens(dump)
  local lines = { '# Tokens by message', '' }
  local total = 0
  for _, message in ipairs(ropeway.given(dump.messages) or {}) do
    local tokens = ropeway.given(message.tokens) or 0
    total = total + tokens
    local tool = ropeway.given(message.tool)
    local head = ('## %s%s · %d'):format(message.role, tool and (' ' .. tool) or '', tokens)
    vim.list_extend(lines, { head, '' })
    for _, call in ipairs(ropeway.given(message.calls) or {}) do
      local line = ('- %s %s'):format(call.tool or '', ropeway.given(call.arguments) or '')
      lines[#lines + 1] = (line:gsub('[%c]+', ' '))
    end
    local text = ropeway.given(message.text)
    if type(text) == 'string' and text ~= '' then
      vim.list_extend(lines, vim.split(text, '\r?\n'))
    end
    if lines[#lines] ~= '' then
      lines[#lines + 1] = ''
    end
  end
  lines[1] = ('# Tokens by message: %d in all'):format(total)
  window.page('ropeway://tokens', lines, 'markdown', { title = 'conversation' })
end

--- One of the server's tables.
---@param data table
function M.analytics(data)
  local lines = window.table(ropeway.given(data.columns) or {}, ropeway.given(data.rows) or {})
  window.page('ropeway://analytics', lines, 'ropeway-stats', {
    title = 'analytics',
    options = { wrap = false },
  })
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
  window.show(bufnr, { title = vim.fs.basename(path), tall = true })
  if ropeway.given(params.takeFocus) then
    vim.api.nvim_set_current_win(vim.fn.bufwinid(bufnr))
  end
  return { success = true }
end

return M
