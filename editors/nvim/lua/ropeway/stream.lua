--- The answer window: what a run says and does, as it does it, as Markdown. What a command printed is folded away.

local ropeway = require('ropeway')
local window = require('ropeway.window')

local M = {}

--- Runs whose text is kept to be looked at; the oldest that has ended goes first.
local MAX_RUNS = 8
--- Text kept of one run, in bytes: past it nothing is shown, and said so. The server's own record has all of it.
local MAX_TEXT = 1024 * 1024
--- How long text is collected before it is shown, in ms, and while somebody types: their keys come first.
local PAUSE, PAUSE_TYPING = 40, 120

local space = vim.api.nvim_create_namespace('ropeway.stream')

-- What the first mark of a line means, and the small print.
for group, link in pairs({
  RopewayRunning = 'DiagnosticInfo',
  RopewayDone = 'DiagnosticOk',
  RopewayFailed = 'DiagnosticError',
  RopewayAsks = 'DiagnosticWarn',
  RopewayDetail = 'Comment',
}) do
  vim.api.nvim_set_hl(0, group, { default = true, link = link })
end

---@class ropeway.Call
---@field mark integer extmark of its line
---@field output integer lines printed so far
---@field rest string what was printed of a line that is not complete

---@class ropeway.Stream
---@field id string
---@field client_id integer
---@field title string
---@field bufnr integer
---@field parsed boolean is a parser to colour it once all is there?
---@field pending string text that has come and is not in the buffer yet
---@field size integer bytes taken so far
---@field timer boolean is a flush on its way?
---@field calls table<string, ropeway.Call>
---@field in_text boolean is the last line one of text?
---@field ended boolean

---@type ropeway.Stream[] oldest first
local streams = {}

---@param id? string the last one if left out
---@return ropeway.Stream?
local function stream_of(id)
  for i = #streams, 1, -1 do
    if id == nil or streams[i].id == id then
      return streams[i]
    end
  end
end

--- A text of one line, whatever came.
---@param text any
---@return string
local function line_of(text)
  return (tostring(ropeway.given(text) or ''):gsub('[%c]+', ' '))
end

--- Does some change, and lets a window that stands at the end stay there.
---@param stream ropeway.Stream
---@param change fun()
local function write(stream, change)
  if not vim.api.nvim_buf_is_loaded(stream.bufnr) then
    return
  end
  local last = vim.api.nvim_buf_line_count(stream.bufnr)
  local at_end = vim.tbl_filter(function(win)
    return vim.api.nvim_win_get_cursor(win)[1] == last
  end, vim.fn.win_findbuf(stream.bufnr))
  window.write(stream.bufnr, change)
  last = vim.api.nvim_buf_line_count(stream.bufnr)
  for _, win in ipairs(at_end) do
    vim.api.nvim_win_set_cursor(win, { last, 0 })
  end
end

---@param stream ropeway.Stream
---@return string
local function last_line(stream)
  return vim.api.nvim_buf_get_lines(stream.bufnr, -2, -1, true)[1]
end

--- Brings the text that has come into the buffer.
---@param stream ropeway.Stream
local function flush(stream)
  local text = stream.pending
  stream.pending = ''
  if text == '' then
    return
  end
  local lines = vim.split(text, '\r?\n')
  write(stream, function()
    if stream.in_text then
      local row = vim.api.nvim_buf_line_count(stream.bufnr) - 1
      local column = #last_line(stream)
      vim.api.nvim_buf_set_text(stream.bufnr, row, column, row, column, lines)
      return
    end
    stream.in_text = true
    -- A blank line between the calls and what is said after them.
    if last_line(stream) ~= '' then
      table.insert(lines, 1, '')
    end
    vim.api.nvim_buf_set_lines(stream.bufnr, -1, -1, true, lines)
  end)
end

--- Adds whole lines at the end.
---@param stream ropeway.Stream
---@param lines string[]
---@return integer row of the last of them
local function append(stream, lines)
  flush(stream)
  write(stream, function()
    if stream.in_text and last_line(stream) ~= '' then
      table.insert(lines, 1, '')
    end
    vim.api.nvim_buf_set_lines(stream.bufnr, -1, -1, true, lines)
  end)
  stream.in_text = false
  return vim.api.nvim_buf_line_count(stream.bufnr) - 1
end

---@param stream ropeway.Stream
---@param text string
local function say(stream, text)
  if stream.size >= MAX_TEXT then
    return
  end
  stream.size = stream.size + #text
  if stream.size >= MAX_TEXT then
    text = text .. '\n\n(cut here: longer than 1 MiB)'
  end
  stream.pending = stream.pending .. text
  if not stream.timer then
    stream.timer = true
    local typing = vim.api.nvim_get_mode().mode:find('^[iR]')
    vim.defer_fn(function()
      stream.timer = false
      flush(stream)
    end, typing and PAUSE_TYPING or PAUSE)
  end
end

--- Colours the first character of a row, and what follows `detail` bytes.
---@param stream ropeway.Stream
---@param row integer
---@param group string
---@param detail? integer
local function colour(stream, row, group, detail)
  local line = vim.api.nvim_buf_get_lines(stream.bufnr, row, row + 1, true)[1]
  local mark = #vim.fn.strpart(line, 0, 1, 1)
  vim.api.nvim_buf_set_extmark(stream.bufnr, space, row, 0, { end_col = mark, hl_group = group })
  if detail and detail < #line then
    vim.api.nvim_buf_set_extmark(stream.bufnr, space, row, detail, {
      end_col = #line,
      hl_group = 'RopewayDetail',
    })
  end
end

--- The row of a call's line, nil if it is gone.
---@param stream ropeway.Stream
---@param call ropeway.Call
---@return integer?
local function row_of(stream, call)
  return vim.api.nvim_buf_get_extmark_by_id(stream.bufnr, space, call.mark, {})[1]
end

---@param stream ropeway.Stream
---@param event table
local function tool_started(stream, event)
  local row = append(stream, { '… ' .. line_of(event.summary) })
  local mark = vim.api.nvim_buf_set_extmark(stream.bufnr, space, row, 0, {})
  stream.calls[event.callId] = { mark = mark, output = 0, rest = '' }
  colour(stream, row, 'RopewayRunning')
end

---@param stream ropeway.Stream
---@param id string
---@param delta string
local function tool_output(stream, id, delta)
  local call = stream.calls[id]
  local row = call and row_of(stream, call)
  if not row or stream.size >= MAX_TEXT then
    return
  end
  flush(stream)
  stream.size = stream.size + #delta
  local lines = vim.split(call.rest .. delta, '\r?\n')
  call.rest = table.remove(lines)
  lines = vim.tbl_map(function(line)
    return '│ ' .. line
  end, lines)
  write(stream, function()
    local at = row + 1 + call.output
    vim.api.nvim_buf_set_lines(stream.bufnr, at, at, true, lines)
  end)
  call.output = call.output + #lines
end

---@param ms any
---@return string
local function duration(ms)
  if type(ms) ~= 'number' then
    return '?'
  elseif ms < 10 then
    return ('%.1f ms'):format(ms)
  elseif ms < 1000 then
    return ('%.0f ms'):format(ms)
  end
  return ('%.1f s'):format(ms / 1000)
end

---@param stream ropeway.Stream
---@param event table
local function tool_finished(stream, event)
  if not stream.calls[event.callId] then
    -- One that was refused before it began.
    tool_started(stream, event)
  end
  local call = stream.calls[event.callId]
  if call.rest ~= '' then
    tool_output(stream, event.callId, '\n')
  end
  stream.calls[event.callId] = nil
  local row = row_of(stream, call)
  if not row then
    return
  end
  local failed = ropeway.given(event.error)
  local what = (failed and '✗ ' or '✓ ') .. line_of(event.summary)
  local how = (' (%s%s)'):format(
    event.cached == true and 'known, ' or '',
    failed and line_of(failed) or duration(event.ms)
  )
  write(stream, function()
    vim.api.nvim_buf_clear_namespace(stream.bufnr, space, row, row + 1)
    -- Within the line: with it would go the marks of the call below.
    vim.api.nvim_buf_set_text(stream.bufnr, row, 0, row, -1, { what .. how })
  end)
  colour(stream, row, failed and 'RopewayFailed' or 'RopewayDone', #what)
end

--- Level of a line's fold: what a command printed, below the line of its call.
---@param lnum integer
---@return integer
function M.fold(lnum)
  return vim.startswith(vim.fn.getline(lnum) --[[@as string]], '│ ') and 1 or 0
end

---@return string
function M.fold_text()
  local count = vim.v.foldend - vim.v.foldstart + 1
  return ('│ %d %s (zo opens)'):format(count, count == 1 and 'line' or 'lines')
end

--- Shows a run's window; false if there is none.
---@param id? string the last run if left out
---@return boolean
function M.show(id)
  local stream = stream_of(id)
  if not stream or not vim.api.nvim_buf_is_loaded(stream.bufnr) then
    return false
  end
  flush(stream)
  local win = window.show(stream.bufnr, {
    title = stream.title,
    tall = true,
    options = {
      foldmethod = 'expr',
      foldexpr = "v:lua.require'ropeway.stream'.fold(v:lnum)",
      foldtext = "v:lua.require'ropeway.stream'.fold_text()",
      foldlevel = 0,
      foldminlines = 0,
      foldenable = true,
      fillchars = 'fold: ,eob: ',
    },
  })
  if not stream.ended then
    vim.api.nvim_win_set_cursor(win, { vim.api.nvim_buf_line_count(stream.bufnr), 0 })
  end
  return true
end

--- Makes room for one more.
local function drop_old()
  for i, stream in ipairs(streams) do
    if #streams < MAX_RUNS then
      return
    end
    if stream.ended and #vim.fn.win_findbuf(stream.bufnr) == 0 then
      pcall(vim.api.nvim_buf_delete, stream.bufnr, { force = true })
      table.remove(streams, i)
      return drop_old()
    end
  end
end

---@param event table
---@param client_id integer
local function started(event, client_id)
  -- A run that is taken up again goes on where it was.
  if stream_of(event.runId) then
    return
  end
  drop_old()
  local title, model = line_of(event.title), line_of(event.model)
  local bufnr = window.buffer('ropeway://' .. line_of(event.runId), 'markdown')
  local parsed = vim.treesitter.highlighter.active[bufnr] ~= nil
  if parsed then
    -- Neovim 0.12 parses Markdown anew for each screen, which takes it up to 10 ms: a key would wait for that. The
    -- patterns of old are good enough for text that is still coming.
    vim.treesitter.stop(bufnr)
  end
  window.write(bufnr, function()
    vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, {
      '# ' .. title .. (model ~= '' and (' (' .. model .. ')') or ''),
      '',
    })
  end)
  streams[#streams + 1] = {
    id = event.runId,
    client_id = client_id,
    title = title,
    bufnr = bufnr,
    parsed = parsed,
    pending = '',
    size = 0,
    timer = false,
    calls = {},
    in_text = false,
    ended = false,
  }
end

--- Takes an event of a run.
---@param event table
---@param client_id integer
function M.event(event, client_id)
  local kind = event.kind
  if kind == 'started' then
    return started(event, client_id)
  end
  local stream = stream_of(event.runId)
  if not stream or not vim.api.nvim_buf_is_loaded(stream.bufnr) then
    return
  end
  if kind == 'text' then
    say(stream, event.delta)
  elseif kind == 'toolStarted' then
    tool_started(stream, event)
  elseif kind == 'toolOutput' then
    tool_output(stream, event.callId, event.delta)
  elseif kind == 'toolFinished' then
    tool_finished(stream, event)
  elseif kind == 'approval' then
    local answer = ropeway.given(event.answer)
    local line = answer and ('· ' .. line_of(answer)) or ('? ' .. line_of(event.message))
    colour(stream, append(stream, { line }), answer and 'RopewayDetail' or 'RopewayAsks')
  elseif kind == 'retry' then
    local wait = duration(event.waitMs)
    local line = ('· asked again in %s: %s'):format(wait, line_of(event.why))
    colour(stream, append(stream, { line }), 'RopewayAsks', 0)
  elseif kind == 'compacted' then
    colour(stream, append(stream, { '· the conversation was shortened' }), 'RopewayDetail', 0)
  end
end

--- A run has ended: the last line says how.
---@param id string
---@param how string
function M.finish(id, how)
  local stream = stream_of(id)
  if stream and not stream.ended then
    stream.ended = true
    if vim.api.nvim_buf_is_loaded(stream.bufnr) then
      flush(stream)
      stream.in_text = true
      colour(stream, append(stream, { '*' .. line_of(how) .. '*' }), 'RopewayDetail', 0)
      if stream.parsed then
        vim.treesitter.start(stream.bufnr)
      end
    end
  end
end

--- The runs with a window, newest first; only those that go on, if so wanted.
---@param running? boolean
---@return string[]
function M.runs(running)
  local ids = {} ---@type string[]
  for i = #streams, 1, -1 do
    if not (running and streams[i].ended) then
      ids[#ids + 1] = streams[i].id
    end
  end
  return ids
end

--- The server is gone, and with it its runs.
---@param client_id integer
function M.ended(client_id)
  for _, stream in ipairs(streams) do
    if stream.client_id == client_id then
      M.finish(stream.id, 'the server stopped')
    end
  end
end

return M
