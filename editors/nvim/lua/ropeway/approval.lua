--- Questions of the server (window/showMessageRequest): may this command run, may that file be changed?
---
--- The menu of |vim.ui.select()| takes the keyboard. Opened under someone's typing it would take a digit and Enter that
--- were meant for the text as a yes, so it waits until Normal mode; a message says that something waits.

local ropeway = require('ropeway')

local M = {}

---@class ropeway.Question
---@field client_id integer
---@field message string
---@field actions lsp.MessageActionItem[]
---@field answer fun(action?: lsp.MessageActionItem)

---@type ropeway.Question[] oldest first
local waiting = {}
---@type ropeway.Question? the one whose menu is open
local open

---@param question ropeway.Question
---@return boolean
local function remove(question)
  for i, other in ipairs(waiting) do
    if other == question then
      table.remove(waiting, i)
      return true
    end
  end
  return false
end

--- Is the keyboard free for a menu?
---@return boolean
local function is_free()
  local mode = vim.api.nvim_get_mode()
  return mode.mode == 'n' and not mode.blocking and vim.fn.getcmdwintype() == ''
end

--- Opens the menu of the oldest question.
---@return boolean asked false if nothing waits
function M.ask()
  local question = waiting[1]
  if not question or open then
    return question ~= nil
  end
  open = question
  local ok, err = pcall(vim.ui.select, question.actions, {
    prompt = question.message,
    kind = 'ropeway-approval',
    format_item = function(action)
      return action.title
    end,
  }, function(action)
    open = nil
    if remove(question) then
      question.answer(action)
    end
    if #waiting > 0 then
      vim.schedule(M.offer)
    end
  end)
  if not ok then
    -- A menu that fails (or is interrupted) is a no.
    open = nil
    if remove(question) then
      question.answer(nil)
    end
    ropeway.notify('the question could not be asked: ' .. tostring(err), vim.log.levels.ERROR)
  end
  return true
end

--- What the status line says while a question waits, nil if none does.
---@return string?
function M.waits()
  if #waiting > 0 then
    return open and 'asks you' or 'asks you (Esc)'
  end
end

--- Opens the menu now if the keyboard is free, else as soon as it is.
function M.offer()
  if #waiting == 0 or open then
    return
  end
  if is_free() then
    M.ask()
    return
  end
  -- With 'showmode' Insert mode wipes it at once where no plugin shows notices; the status line says it as well.
  ropeway.notify('a question waits: it opens in Normal mode.', vim.log.levels.WARN)
  vim.api.nvim_create_autocmd('ModeChanged', {
    group = vim.api.nvim_create_augroup('ropeway.approval', {}),
    pattern = '*:n',
    desc = 'Ropeway: ask',
    callback = function()
      -- Not within the event: a command line may still be running what was typed on it.
      vim.schedule(function()
        if is_free() or #waiting == 0 then
          vim.api.nvim_create_augroup('ropeway.approval', {})
          M.ask()
        end
      end)
    end,
  })
end

--- The server no longer waits for an answer: what is not open yet never opens.
---@param client_id integer
---@param message? string only the questions with this text
function M.withdraw(client_id, message)
  for i = #waiting, 1, -1 do
    local question = waiting[i]
    local meant = question.client_id == client_id and (not message or question.message == message)
    if meant and question ~= open then
      table.remove(waiting, i)
      question.answer(nil)
    end
  end
end

--- The handler for |lsp-handlers|. Answers when the user has; no answer is a no.
---@param params lsp.ShowMessageRequestParams
---@param client_id integer
---@return any result the action chosen, or vim.NIL
function M.handler(params, client_id)
  local co, is_main = coroutine.running()
  local actions = ropeway.given(params.actions) or {}
  if not co or is_main or #actions == 0 then
    require('ropeway.view').message(params)
    return vim.NIL
  end
  local answered, yielded = false, false
  local given ---@type lsp.MessageActionItem?
  waiting[#waiting + 1] = {
    client_id = client_id,
    message = params.message,
    actions = actions,
    answer = function(action)
      answered, given = true, action
      if yielded then
        coroutine.resume(co)
      end
    end,
  }
  M.offer()
  if not answered then
    yielded = true
    coroutine.yield() ---@diagnostic disable-line: await-in-sync
  end
  return given or vim.NIL
end

return M
