--- `:Ropeway`: turns what was typed into the server's commands, and says how they went.

local approval = require('ropeway.approval')
local changes = require('ropeway.changes')
local ropeway = require('ropeway')
local stream = require('ropeway.stream')
local view = require('ropeway.view')
local wire = require('ropeway.wire')

local M = {}

--- The built-in actions; a user's own are accepted as well, the server knows them.
M.actions = {
  'fix',
  'fix-file',
  'edit',
  'implement',
  'refactor',
  'simplify',
  'document',
  'test',
  'explain',
  'review',
  'task',
}

--- Actions that are nothing without an instruction.
local needs_prompt = { edit = true, task = true }

--- Runs `use` with the client of the current buffer, starting Ropeway first if need be.
---@param use fun(client: vim.lsp.Client, bufnr: integer)
local function with_client(use)
  local bufnr = vim.api.nvim_get_current_buf()
  local client = ropeway.client(bufnr)
  if not client then
    if not ropeway.configured then
      ropeway.setup()
    end
    if not ropeway.attach(bufnr) then
      ropeway.notify('not running: open a file of your project first.', vim.log.levels.WARN)
      return
    end
    vim.wait(5000, function()
      client = ropeway.client(bufnr)
      return client ~= nil
    end, 10)
  end
  if not client then
    ropeway.notify('the server did not start; see :checkhealth ropeway.', vim.log.levels.ERROR)
    return
  end
  use(client, bufnr)
end

--- Does the server announce this command?
---@param client vim.lsp.Client
---@param command string without its prefix
---@return boolean
local function knows(client, command)
  local capabilities = client.server_capabilities or {}
  local provider = ropeway.given(capabilities.executeCommandProvider) or {}
  return vim.list_contains(ropeway.given(provider.commands) or {}, 'ropeway.' .. command)
end

---@param client vim.lsp.Client
---@param command string without its prefix
---@param argument table
---@param done? fun(result: any)
local function execute(client, command, argument, done)
  if not knows(client, command) then
    ropeway.notify(
      ('this server (%s) has no `ropeway.%s`: a newer one may.'):format(
        ropeway.server_version(client) or 'version unknown',
        command
      ),
      vim.log.levels.WARN
    )
    return
  end
  if next(argument) == nil then
    argument = vim.empty_dict()
  end
  ropeway.request(
    client,
    'workspace/executeCommand',
    { command = 'ropeway.' .. command, arguments = { argument } },
    function(err, result)
      if err then
        view.message({ type = 1, message = err.message })
      elseif done then
        done(ropeway.given(result))
      end
    end
  )
end

---@param opts vim.api.keyset.create_user_command.command_args
---@param bufnr integer
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Range
local function range_of(opts, bufnr, encoding)
  if opts.range == 0 then
    local cursor = vim.api.nvim_win_get_cursor(0)
    local at = wire.position(bufnr, cursor[1] - 1, cursor[2], encoding)
    return { start = at, ['end'] = at }
  end
  local first, last = opts.line1 - 1, opts.line2 - 1 ---@type integer, integer
  local from, to = 0, vim.v.maxcol
  local left, right = vim.api.nvim_buf_get_mark(bufnr, '<'), vim.api.nvim_buf_get_mark(bufnr, '>')
  if vim.fn.visualmode() == 'v' and left[1] == opts.line1 and right[1] == opts.line2 then
    -- '<,'> of a selection within lines; the mark is on the last character selected, so go past it.
    from, to = left[2], right[2]
    local line = vim.api.nvim_buf_get_lines(bufnr, last, last + 1, true)[1]
    if to < #line then
      to = to + #vim.fn.strpart(line, to, 1, 1)
    end
  end
  return {
    start = wire.position(bufnr, first, from, encoding),
    ['end'] = wire.position(bufnr, last, to, encoding),
  }
end

--- Asks for the instruction where there must be one, then starts the run.
---@param client vim.lsp.Client
---@param argument table
local function start(client, argument)
  local function go()
    execute(client, 'run', argument, function(result)
      if type(result) == 'table' and result.runId then
        view.started(result.runId, argument.action)
      end
    end)
  end
  if not needs_prompt[argument.action] or (ropeway.given(argument.prompt) or '') ~= '' then
    go()
    return
  end
  vim.ui.input({ prompt = ('Ropeway %s: '):format(argument.action) }, function(prompt)
    if prompt and prompt ~= '' then
      argument.prompt = prompt
      go()
    end
  end)
end

--- A code action was chosen in the editor's own menu.
---@param command lsp.Command
---@param ctx table
function M.from_code_action(command, ctx)
  local client = vim.lsp.get_client_by_id(ctx.client_id)
  if client then
    ---@type table
    local argument = (command.arguments or {})[1] --[[@as table?]] or {}
    start(client, vim.deepcopy(argument))
  end
end

--- The code action menu with Ropeway's actions only.
---@param opts vim.api.keyset.create_user_command.command_args
local function menu(opts)
  with_client(function(client, bufnr)
    local range
    if opts.range > 0 then
      local last = vim.api.nvim_buf_get_lines(bufnr, opts.line2 - 1, opts.line2, true)[1]
      range = { start = { opts.line1, 0 }, ['end'] = { opts.line2, math.max(#last - 1, 0) } }
    end
    vim.lsp.buf.code_action({
      range = range,
      filter = function(action)
        local command = type(action.command) == 'table' and action.command.command or action.command
        return type(command) == 'string' and vim.startswith(command, client.name .. '.')
      end,
    })
  end)
end

---@param id string
---@return fun(opts: table, rest: string)
local function on_run(id)
  return function(_, rest)
    with_client(function(client)
      local run = rest ~= '' and rest or view.proposed()
      if not run then
        ropeway.notify('no proposed edit to ' .. id .. '.', vim.log.levels.WARN)
        return
      end
      execute(client, id, { runId = run }, function(result)
        if type(result) == 'table' and result.status then
          view.tell(result, id)
        elseif id == 'reject' then
          view.rejected(run)
        end
      end)
    end)
  end
end

---@param id string
---@return fun(opts: table, rest: string)
local function on_thread(id)
  return function()
    with_client(function(client)
      execute(client, id, {}, function(result)
        local before = vim.tbl_get(result or {}, 'before', 'messages')
        local after = vim.tbl_get(result or {}, 'after', 'messages')
        if before and after then
          ropeway.notify(('%s: %d messages, before %d.'):format(id, after, before))
        end
      end)
    end)
  end
end

---@type table<string, fun(opts: table, rest: string)>
local controls = {
  accept = on_run('accept'),
  reject = on_run('reject'),
  compact = on_thread('compact'),
  clear = on_thread('clear'),
  cancel = function(_, rest)
    with_client(function(client)
      execute(client, 'cancel', { runId = rest ~= '' and rest or nil }, function(result)
        if #(ropeway.given((result or {}).cancelled) or {}) == 0 then
          ropeway.notify('nothing is running.')
        end
      end)
    end)
  end,
  revert = function(_, rest)
    with_client(function(client)
      execute(client, 'revert', { runId = rest ~= '' and rest or nil }, function(result)
        view.tell(result or {}, 'revert')
      end)
    end)
  end,
  stats = function()
    with_client(function(client)
      execute(client, 'stats', {}, view.stats)
    end)
  end,
  report = function(_, rest)
    with_client(function(client)
      execute(client, 'report', { runId = rest ~= '' and rest or nil }, function(result)
        if type(result) == 'table' and ropeway.given(result.path) then
          ropeway.notify('the report is ' .. result.path)
        end
      end)
    end)
  end,
  tokens = function()
    with_client(function(client)
      execute(client, 'dump', {}, view.tokens)
    end)
  end,
  analytics = function(_, rest)
    with_client(function(client)
      execute(client, 'analytics', { what = rest ~= '' and rest or 'tools' }, view.analytics)
    end)
  end,
  approve = function()
    if not approval.ask() then
      ropeway.notify('nothing waits for an answer.')
    end
  end,
  diff = function(_, rest)
    if not changes.show(rest ~= '' and rest or view.proposed(), view.proposed()) then
      ropeway.notify('nothing was staged.')
    end
  end,
  changes = function()
    if not changes.quickfix() then
      ropeway.notify('no run has changed anything.')
    end
  end,
  model = function(_, rest)
    with_client(function(client)
      if rest ~= '' then
        execute(client, 'setModel', { model = rest }, function()
          ropeway.notify('the model is now ' .. rest .. '.')
        end)
        return
      end
      execute(client, 'listModels', {}, function(models)
        -- Those that can run first; of the others, why not in a few words.
        local listed, rest_of = {}, {}
        for _, model in ipairs(models or {}) do
          table.insert(model.available and listed or rest_of, model)
        end
        vim.list_extend(listed, rest_of)
        vim.ui.select(listed, {
          prompt = 'Ropeway model:',
          kind = 'ropeway-model',
          format_item = function(model)
            local why = not model.available and ropeway.given(model.why)
            return model.id .. (why and (' (' .. vim.split(why, '; ')[1] .. ')') or '')
          end,
        }, function(model)
          if model then
            execute(client, 'setModel', { model = model.id }, function()
              ropeway.notify('the model is now ' .. model.id .. '.')
            end)
          end
        end)
      end)
    end)
  end,
  answer = function(_, rest)
    view.answer(rest ~= '' and rest or nil)
  end,
  log = function()
    vim.cmd.split({ args = { vim.fn.fnameescape(view.log_path()) } })
    vim.bo.readonly = true
    vim.cmd('normal! G')
  end,
  restart = function()
    ropeway.restart()
  end,
}

---@param opts table what nvim_create_user_command gives
function M.run(opts)
  local action = opts.fargs[1]
  if not action then
    menu(opts)
    return
  end
  local rest = vim.trim(opts.args:sub(#action + 1))
  local control = controls[action]
  if control then
    control(opts, rest)
    return
  end
  with_client(function(client, bufnr)
    local encoding = client.offset_encoding
    local argument = {
      action = action,
      uri = vim.uri_from_bufnr(bufnr),
      range = range_of(opts, bufnr, encoding),
      prompt = rest ~= '' and rest or nil,
    }
    if action == 'fix' then
      argument.diagnostics =
        wire.diagnostics(bufnr, argument.range.start.line, argument.range['end'].line, encoding)
    elseif action == 'fix-file' then
      argument.diagnostics =
        wire.diagnostics(bufnr, 0, vim.api.nvim_buf_line_count(bufnr), encoding)
    end
    if argument.diagnostics and #argument.diagnostics == 0 then
      ropeway.notify('no diagnostic ' .. (action == 'fix' and 'here.' or 'in this file.'))
      return
    end
    start(client, argument)
  end)
end

--- The server's command behind each word of ours that needs one: without it, it is not offered.
local behind = {
  accept = 'accept',
  reject = 'reject',
  compact = 'compact',
  clear = 'clear',
  cancel = 'cancel',
  revert = 'revert',
  stats = 'stats',
  report = 'report',
  tokens = 'dump',
  analytics = 'analytics',
  model = 'setModel',
}

--- The models that can run, as the server knows them; an empty list if it does not answer at once.
---@return string[]
local function models()
  local client = ropeway.client()
  if not client then
    return {}
  end
  local found ---@type table[]?
  ropeway.request(
    client,
    'workspace/executeCommand',
    { command = 'ropeway.listModels', arguments = { vim.empty_dict() } },
    function(_, result)
      found = ropeway.given(result) or {}
    end
  )
  vim.wait(1000, function()
    return found ~= nil
  end, 5)
  local ids = {} ---@type string[]
  for _, model in ipairs(found or {}) do
    if model.available == true then
      ids[#ids + 1] = model.id
    end
  end
  return ids
end

--- What may follow a word.
---@type table<string, fun(): string[]>
local following = {
  model = models,
  cancel = function()
    return stream.runs(true)
  end,
  revert = stream.runs,
  answer = stream.runs,
  diff = stream.runs,
  report = stream.runs,
  analytics = function()
    return { 'tools', 'iterations', 'cache', 'http' }
  end,
}

---@return string[]
local function words()
  local names = vim.deepcopy(M.actions)
  local client = ropeway.client()
  for name in pairs(controls) do
    if not client or not behind[name] or knows(client, behind[name]) then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
  local before = vim.split(vim.trim(line:match('Ropeway!?%s*(.*)$') or ''), '%s+')
  if lead ~= '' then
    table.remove(before)
  end
  local offered ---@type string[]
  if #before == 0 or before[1] == '' then
    offered = words()
  elseif #before == 1 and following[before[1]] then
    offered = following[before[1]]()
  else
    return {}
  end
  return vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, offered)
end

return M
