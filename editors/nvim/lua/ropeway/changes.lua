--- What runs change: the diff of what is staged, and afterwards the places, as a quickfix list.

local ropeway = require('ropeway')
local window = require('ropeway.window')

local M = {}

--- Runs and places remembered.
local MAX_RUNS, MAX_PLACES = 8, 1000

local NAME = 'ropeway://diff'
local space = vim.api.nvim_create_namespace('ropeway.changes')

---@class ropeway.Staged
---@field id string
---@field title string
---@field order string[] URIs in the order they were first staged
---@field diffs table<string, string>

---@class ropeway.Place
---@field bufnr integer
---@field mark integer? extmark where the place is, wherever typing has carried it
---@field lnum integer one-based, without a mark
---@field text string
---@field kind 'I'|'W'

---@type ropeway.Staged[] oldest first
local staged = {}
---@type { title: string, places: ropeway.Place[] }? of the last run that changed something
local last
---@type { uri: string, place: ropeway.Place }[] applied, of runs that have not ended
local applied = {}

---@param id? string the last one if left out
---@return ropeway.Staged?
local function staged_of(id)
  for i = #staged, 1, -1 do
    if id == nil or staged[i].id == id then
      return staged[i]
    end
  end
end

---@param of ropeway.Staged
---@return string[]
local function lines_of(of)
  local lines = {} ---@type string[]
  for _, uri in ipairs(of.order) do
    vim.list_extend(lines, vim.split(vim.trim(of.diffs[uri]), '\r?\n'))
  end
  return lines
end

--- Where the cursor's line of the diff is in the file: its name, and a line of the new text.
---@return string? path, integer? lnum
local function target()
  local row = vim.api.nvim_win_get_cursor(0)[1]
  local lines = vim.api.nvim_buf_get_lines(0, 0, -1, true)
  local offset = 0
  for at = row, 1, -1 do
    local start = lines[at]:match('^@@ %-%S+ %+(%d+)')
    if start then
      for above = at, 1, -1 do
        local name = lines[above]:match('^%+%+%+ b?/?(.-)\t?$')
        if name then
          local lnum = tonumber(start) --[[@as integer]]
          return name, math.max(lnum + math.max(offset - 1, 0), 1)
        end
      end
      return nil
    end
    if not lines[at]:find('^[-\\]') then
      offset = offset + 1
    end
  end
end

--- Goes from the diff to the file.
local function jump()
  local name, lnum = target()
  local of = vim.b.ropeway_run and staged_of(vim.b.ropeway_run)
  if not name or not of then
    return
  end
  for _, uri in ipairs(of.order) do
    local path = vim.uri_to_fname(uri)
    if vim.endswith(path, name) then
      vim.cmd.wincmd('p')
      vim.cmd.edit(vim.fn.fnameescape(path))
      local count = vim.api.nvim_buf_line_count(0)
      vim.api.nvim_win_set_cursor(0, { math.min(lnum or 1, count), 0 })
      return
    end
  end
end

--- Shows the diff of what a run has staged; false if it has staged nothing.
---@param id? string the last run that staged something if left out
---@param proposed? string the run whose edits wait for an answer
---@return boolean
function M.show(id, proposed)
  local of = staged_of(id)
  if not of then
    return false
  end
  local bufnr = window.page(NAME, lines_of(of), 'diff', {
    title = of.title == '' and 'diff' or ('diff of ' .. of.title),
    hint = '<CR> goes there' .. (of.id == proposed and ' · a accepts · x rejects' or ''),
  })
  vim.b[bufnr].ropeway_run = of.id
  local function map(key, does, what)
    vim.keymap.set('n', key, does, { buffer = bufnr, nowait = true, desc = 'Ropeway: ' .. what })
  end
  map('<CR>', jump, 'go to the file')
  map('a', '<Cmd>Ropeway accept ' .. of.id .. '<CR>', 'apply the proposed edit')
  map('x', '<Cmd>Ropeway reject ' .. of.id .. '<CR>', 'drop the proposed edit')
  return true
end

--- Brings an open diff up to date.
---@param of ropeway.Staged
local function refresh(of)
  for _, win in ipairs(vim.api.nvim_tabpage_list_wins(0)) do
    local bufnr = vim.api.nvim_win_get_buf(win)
    if vim.api.nvim_buf_get_name(bufnr) == NAME and vim.b[bufnr].ropeway_run == of.id then
      window.write(bufnr, function()
        vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, lines_of(of))
      end)
    end
  end
end

--- Something was staged.
---@param event table
---@param title? string
function M.staged(event, title)
  local of = staged_of(event.runId)
  if not of then
    if #staged >= MAX_RUNS then
      table.remove(staged, 1)
    end
    of = { id = event.runId, title = title or '', order = {}, diffs = {} }
    staged[#staged + 1] = of
  end
  if not of.diffs[event.uri] then
    of.order[#of.order + 1] = event.uri
  end
  of.diffs[event.uri] = event.diff
  refresh(of)
end

--- The diff of this run is no longer something to answer.
---@param id string
function M.close(id)
  for _, win in ipairs(vim.api.nvim_tabpage_list_wins(0)) do
    local bufnr = vim.api.nvim_win_get_buf(win)
    if vim.api.nvim_buf_get_name(bufnr) == NAME and vim.b[bufnr].ropeway_run == id then
      pcall(vim.api.nvim_win_close, win, false)
    end
  end
end

--- An edit was applied: remembers where, before anything else moves the lines.
---@param bufnr integer
---@param uri string
---@param edits lsp.TextEdit[]
function M.applied(bufnr, uri, edits)
  local sorted = vim.deepcopy(edits)
  table.sort(sorted, function(a, b)
    return a.range.start.line < b.range.start.line
  end)
  local shift, count = 0, vim.api.nvim_buf_line_count(bufnr)
  for _, edit in ipairs(sorted) do
    if #applied >= MAX_PLACES then
      table.remove(applied, 1)
    end
    local row = math.max(0, math.min(edit.range.start.line + shift, count - 1))
    local _, breaks = edit.newText:gsub('\n', '')
    shift = shift + breaks - (edit.range['end'].line - edit.range.start.line)
    local text = vim.api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
    applied[#applied + 1] = {
      uri = uri,
      place = {
        bufnr = bufnr,
        mark = vim.api.nvim_buf_set_extmark(bufnr, space, row, 0, {}),
        lnum = row + 1,
        text = vim.trim(text),
        kind = 'I',
      },
    }
  end
end

--- A run has ended: its places are those applied in its files, and the conflicts that it names.
---@param outcome table
---@param title? string
function M.finished(outcome, title)
  local places = {} ---@type ropeway.Place[]
  for _, file in ipairs(ropeway.given(outcome.files) or {}) do
    local rest = {}
    for _, one in ipairs(applied) do
      if one.uri == file.uri then
        places[#places + 1] = one.place
      else
        rest[#rest + 1] = one
      end
    end
    applied = rest
    for _, conflict in ipairs(ropeway.given(file.conflicts) or {}) do
      local bufnr = vim.fn.bufadd(vim.uri_to_fname(file.uri))
      places[#places + 1] = {
        bufnr = bufnr,
        lnum = conflict.line + 1,
        text = 'left out: you changed the same text',
        kind = 'W',
      }
    end
  end
  if #places > 0 then
    last = { title = title or 'last run', places = places }
  end
end

--- The places of the last run as a quickfix list; false if it changed nothing.
---@return boolean
function M.quickfix()
  if not last then
    return false
  end
  local items = {} ---@type vim.quickfix.entry[]
  for _, place in ipairs(last.places) do
    if vim.api.nvim_buf_is_valid(place.bufnr) then
      local at = place.mark
        and vim.api.nvim_buf_is_loaded(place.bufnr)
        and vim.api.nvim_buf_get_extmark_by_id(place.bufnr, space, place.mark, {})[1]
      items[#items + 1] = {
        bufnr = place.bufnr,
        lnum = at and at + 1 or place.lnum,
        text = place.text,
        type = place.kind,
      }
    end
  end
  vim.fn.setqflist({}, ' ', { title = 'Ropeway: ' .. last.title, items = items })
  vim.cmd(('botright %dcopen'):format(math.max(3, math.min(#items, 10))))
  return true
end

return M
