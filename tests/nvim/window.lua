--- The window below, whatever the order in which the events of a run come: nvim -l window.lua
---
--- Calls that overlap begin, print and end in any order. Each keeps its own line and its own output, and what was said
--- stays in its place: what the window shows at last is what a plain list of lines would be.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
package.path = here .. '/?.lua;' .. package.path
vim.opt.runtimepath:prepend(vim.fn.fnamemodify(here .. '/../../editors/nvim', ':p'))
local t = require('check')
local stream = require('ropeway.stream')

local ROUNDS, CALLS = 200, 5

--- What is left to come of each call: it begins, prints lines and pieces of them, and ends.
local function calls()
  local left = {}
  for id = 1, CALLS do
    local events = { { kind = 'toolStarted' } }
    for _ = 1, math.random(0, 3) do
      local delta = ('out %d%s'):format(id, math.random(2) == 1 and '\n' or '; ')
      events[#events + 1] = { kind = 'toolOutput', delta = delta }
    end
    events[#events + 1] = {
      kind = 'toolFinished',
      ms = 20 + id,
      error = math.random(4) == 1 and 'no such file' or nil,
    }
    left[id] = events
  end
  return left
end

t.main(function()
  math.randomseed(8)
  local wrong
  for round = 1, ROUNDS do
    local run = 'run-' .. round
    stream.event({ kind = 'started', runId = run, title = 'Try', model = 'play/m' }, 1)
    stream.show(run)
    local blocks = {} -- of lines: of a call, or of text
    local of, printed = {}, {}
    local left = calls()
    while next(left) do
      local id = math.random(CALLS)
      local event = left[id] and table.remove(left[id], 1)
      if not event then
        left[id] = nil
      else
        event.runId, event.callId, event.summary = run, tostring(id), 'Call ' .. id
        stream.event(event, 1)
        if event.kind == 'toolStarted' then
          of[id], printed[id] = { '' }, ''
          blocks[#blocks + 1] = of[id]
        elseif event.kind == 'toolOutput' then
          printed[id] = printed[id] .. event.delta
        else
          local how = event.error or ('%d ms'):format(event.ms)
          of[id][1] = ('%s Call %d (%s)'):format(event.error and '✗' or '✓', id, how)
          for line in vim.gsplit((printed[id]:gsub('\n$', '')), '\n') do
            if printed[id] ~= '' then
              table.insert(of[id], '│ ' .. line)
            end
          end
        end
      end
    end
    local bufnr = vim.fn.bufnr('ropeway://' .. run)
    local got = vim.list_slice(vim.api.nvim_buf_get_lines(bufnr, 0, -1, true), 3)
    local want = vim.iter(blocks):flatten():totable()
    if not vim.deep_equal(got, want) then
      wrong = wrong or { round = round, got = got, want = want }
    end
    stream.finish(run, 'answered')
  end
  t.same(('%d runs of %d overlapping calls'):format(ROUNDS, CALLS), wrong, nil)
end)
