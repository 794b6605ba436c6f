--- Ropeway for Neovim: starts the language server and keeps what it last said.
---
--- Everything that decides anything lives in the server; this side starts it, passes it what the user asked for, and
--- applies its edits with care (see ropeway.edit).

---@class ropeway.Opts
---@field cmd? string[] The server's command. Default: `{ 'ropeway' }`.
---@field settings? table The same keys as ropeway.toml, e.g. `{ model = 'anthropic/claude-sonnet-5-5' }`.
---@field filetypes? string[] Attach to these only. Default: every file.
---@field root_markers? string[] Files that mark a workspace root.
---@field trusted? boolean|'ask'|fun(root: string): boolean May the repository's own actions and instructions be used, and commands be run? 'ask' uses |vim.secure|. Default: true.
---@field restart? boolean Start the server again when it dies. Default: true.
---@field window? 'answer'|'always'|'never' When the answer window opens by itself. Default: 'answer'.

---@class ropeway.Status
---@field state 'idle'|'thinking'|'acting'|'waiting'|'applying'|'error'
---@field model? string
---@field runs? { runId: string, title: string, step: integer, phase: string }[]
---@field tokens? { input: integer, cached: integer, output: integer, context: integer, window: integer }
---@field costUsd? { run: number, session: number }

---@class ropeway.Event
---@field runId string
---@field seq integer
---@field kind string

local M = {}

---@type ropeway.Opts
M.opts = {
  cmd = { 'ropeway' },
  settings = {},
  root_markers = { 'ropeway.toml', '.git', '.hg', '.jj', '.svn' },
  trusted = true,
  restart = true,
  window = 'answer',
}

--- The version of the plugin; the server's should be the same.
M.version = '0.1.0'

---@type table<integer, ropeway.Status> last status of each client
local statuses = {}
---@type table<integer, string> what each server says it is (Neovim 0.10 keeps it nowhere)
local versions = {}
---@type integer[] when the server was last started again (ms)
local restarts = {}
---@type table<integer, true> clients that are stopped to be started again
local restarting = {}
local modern = vim.fn.has('nvim-0.11') == 1

--- Was setup() called?
M.configured = false

--- Lua sees a JSON null as vim.NIL, which is truthy.
---@generic T
---@param value T
---@return T?
function M.given(value)
  if value == vim.NIL then
    return nil
  end
  return value
end

---@param message string
---@param level? integer
function M.notify(message, level)
  vim.notify('Ropeway: ' .. message, level or vim.log.levels.INFO, { title = 'Ropeway' })
end

--- Sends a request the way this Neovim wants it.
---@param client vim.lsp.Client
---@param method vim.lsp.protocol.Method.ClientToServer.Request
---@param params table
---@param handler fun(err?: lsp.ResponseError, result: any)
---@param bufnr? integer
function M.request(client, method, params, handler, bufnr)
  if modern then
    client:request(method, params, handler, bufnr)
  else
    client.request(method, params, handler, bufnr) ---@diagnostic disable-line
  end
end

---@param client vim.lsp.Client
---@return boolean
local function is_stopped(client)
  if modern then
    return client:is_stopped()
  end
  return client.is_stopped() ---@diagnostic disable-line: missing-parameter
end

--- Where the workspace of this buffer begins, nil for a buffer that is no file.
---@param bufnr integer
---@return string?
local function root_of(bufnr)
  local name = vim.api.nvim_buf_get_name(bufnr)
  if name == '' or vim.bo[bufnr].buftype ~= '' or name:find('^%w[%w+.-]+://') then
    return nil
  end
  local dir = vim.fs.dirname(vim.fs.normalize(name))
  -- The nearest: vim.fs.root() of Neovim 0.11 would go on to the home for the first of the markers before it took the
  -- second beside the file.
  local mark = vim.fs.find(M.opts.root_markers or {}, { upward = true, path = dir })[1]
  if mark then
    return vim.fs.dirname(mark)
  end
  local cwd = vim.fs.normalize(vim.fn.getcwd())
  local home = vim.fs.normalize('~')
  -- The directory one works in is the better guess, unless it is a whole home or disk.
  if cwd ~= home and cwd ~= '/' and vim.startswith(dir .. '/', cwd .. '/') then
    return cwd
  end
  return dir
end

---@param root? string
---@return boolean
local function is_trusted(root)
  local trusted = M.opts.trusted
  if type(trusted) == 'function' then
    return root ~= nil and trusted(root) == true
  elseif trusted == 'ask' then
    return root ~= nil and vim.secure.read(root) == true
  end
  return trusted ~= false
end

--- The status that |ropeway/status| last brought, for the client of this buffer (default: the current one).
---@param bufnr? integer
---@return ropeway.Status?
function M.last_status(bufnr)
  local client = M.client(bufnr)
  return client and statuses[client.id]
end

---@param count integer
---@return string
local function short(count)
  if count < 1000 then
    return tostring(count)
  elseif count < 1000000 then
    return ('%.0fk'):format(count / 1000)
  end
  return ('%.0fM'):format(count / 1000000)
end

--- One short text for a status line; empty where Ropeway does not run.
---@return string
function M.status()
  local client = M.client(0, true)
  if not client then
    return ''
  end
  local status = statuses[client.id]
  if not status then
    return 'ropeway'
  end
  local asks = status.state == 'waiting' and require('ropeway.approval').waits()
  local parts = { 'ropeway ' .. (asks or status.state) }
  local run = (M.given(status.runs) or {})[1]
  if run then
    parts[#parts + 1] = run.title
  end
  local tokens = M.given(status.tokens)
  local window = tokens and M.given(tokens.window)
  local context = tokens and M.given(tokens.context)
  if window and context and window > 0 and context > 0 then
    parts[#parts + 1] = short(context) .. '/' .. short(window)
  end
  local cost = M.given(status.costUsd)
  local session = cost and M.given(cost.session)
  if session and session > 0 then
    parts[#parts + 1] = (session < 1 and '$%.3f' or '$%.2f'):format(session)
  end
  -- Some status lines expand `%` in a component's text and some do not: there must be none.
  return (table.concat(parts, ' · '):gsub('%%', ''))
end

--- The running client of this buffer, else (unless `only_here`) any.
---@param bufnr? integer
---@param only_here? boolean
---@return vim.lsp.Client?
function M.client(bufnr, only_here)
  local here = vim.lsp.get_clients({ bufnr = bufnr or 0, name = 'ropeway' })[1]
  if here or only_here then
    return here
  end
  return vim.lsp.get_clients({ name = 'ropeway' })[1]
end

---@param pattern string
---@param data table
local function announce(pattern, data)
  vim.api.nvim_exec_autocmds('User', { pattern = pattern, modeline = false, data = data })
end

---@type table<string, lsp.Handler>
local handlers = {
  ['ropeway/status'] = function(_, result, ctx)
    local before = statuses[ctx.client_id] or {}
    statuses[ctx.client_id] = result
    announce('RopewayStatus', result)
    -- Only for what a status line shows: memory and uptime change several times a second.
    for _, key in ipairs({ 'state', 'model', 'runs', 'tokens', 'costUsd' }) do
      if not vim.deep_equal(before[key], result[key]) then
        vim.cmd.redrawstatus({ bang = true })
        return
      end
    end
  end,
  ['ropeway/event'] = function(_, result, ctx)
    require('ropeway.view').event(result, ctx.client_id)
    announce('RopewayEvent', result)
  end,
  ['workspace/applyEdit'] = function(_, params, ctx)
    return require('ropeway.edit').handler(params, ctx.client_id)
  end,
  ['window/showMessage'] = function(_, params)
    require('ropeway.view').message(params)
  end,
  ['window/showMessageRequest'] = function(_, params, ctx)
    return require('ropeway.approval').handler(params, ctx.client_id)
  end,
  ['window/showDocument'] = function(err, params, ctx, config)
    return require('ropeway.view').show_document(err, params, ctx, config)
  end,
}

--- The version that the server of this client said it is.
---@param client vim.lsp.Client
---@return string?
function M.server_version(client)
  return versions[client.id]
end

--- The server's version if it does not fit the plugin's. Patch releases fit.
---@param client vim.lsp.Client
---@return string?
function M.mismatch(client)
  local theirs = versions[client.id]
  if theirs and theirs:match('^%d+%.%d+') ~= M.version:match('^%d+%.%d+') then
    return theirs
  end
end

---@param code integer
---@param signal integer
---@param client_id integer
local function on_exit(code, signal, client_id)
  local ended = require('ropeway.wire').how_it_ended()
  if ended then
    code, signal = ended.code, ended.signal
  end
  local client = vim.lsp.get_client_by_id(client_id)
  local bufs = client and vim.tbl_keys(client.attached_buffers) or {}
  statuses[client_id], versions[client_id] = nil, nil
  local wanted = restarting[client_id]
  restarting[client_id] = nil
  vim.schedule(function()
    require('ropeway.wire').forget(client_id)
    require('ropeway.view').ended(client_id)
    if M.given(vim.v.exiting) or (code == 0 and signal == 0 and not wanted) then
      return
    end
    if not wanted then
      local how = signal ~= 0 and ('signal ' .. signal) or ('code ' .. code)
      local now = vim.uv.now()
      restarts = vim.tbl_filter(function(at)
        return now - at < 180000
      end, restarts)
      if not M.opts.restart or #restarts >= 4 then
        M.notify(
          ('the server stopped with %s. See :Ropeway log; :Ropeway restart starts it again.'):format(
            how
          ),
          vim.log.levels.ERROR
        )
        return
      end
      restarts[#restarts + 1] = now
      M.notify(('the server stopped with %s; starting it again.'):format(how), vim.log.levels.WARN)
    end
    -- Not before Neovim has dropped the dead client, or the buffers would be attached to it.
    vim.defer_fn(function()
      for _, bufnr in ipairs(bufs) do
        if vim.api.nvim_buf_is_loaded(bufnr) then
          M.attach(bufnr)
        end
      end
    end, 200)
  end)
end

--- Starts the server; what Neovim knows as its command.
---@param dispatchers vim.lsp.rpc.Dispatchers
---@param config? vim.lsp.ClientConfig
---@return vim.lsp.rpc.PublicClient
function M.launch(dispatchers, config)
  return require('ropeway.wire').launch(assert(M.opts.cmd), dispatchers, config)
end

--- The client configuration, for |vim.lsp.config()| or |vim.lsp.start()|.
---@return vim.lsp.ClientConfig
function M.config()
  local opts = M.opts
  ---@type table
  local capabilities = {
    workspace = {
      -- True of ropeway.edit, which takes the place of the stock handler.
      workspaceEdit = { documentChanges = true, failureHandling = 'textOnlyTransactional' },
    },
  }
  if not modern then
    -- Neovim 0.10 takes these instead of its own, not on top of them.
    local own = vim.lsp.protocol.make_client_capabilities()
    capabilities = vim.tbl_deep_extend('force', own, capabilities) --[[@as table]]
  end
  ---@type vim.lsp.Config
  local config = {
    name = 'ropeway',
    cmd = M.launch,
    filetypes = opts.filetypes,
    handlers = handlers,
    init_options = { status = true, events = true },
    settings = next(opts.settings) and { ropeway = opts.settings } or nil,
    capabilities = capabilities,
    commands = {
      ['ropeway.run'] = function(command, ctx)
        require('ropeway.command').from_code_action(command, ctx)
      end,
    },
    before_init = function(params)
      ---@diagnostic disable-next-line: deprecated
      local root = M.given(params.rootUri --[[@as string?]])
      local given = M.given(params.initializationOptions --[[@as table?]]) or {}
      params.initializationOptions = vim.tbl_extend('force', given, {
        settings = next(opts.settings) and opts.settings or vim.empty_dict(),
        trusted = is_trusted(root and vim.uri_to_fname(root)),
      })
    end,
    on_init = function(client, result)
      require('ropeway.wire').watch(client)
      versions[client.id] = M.given(vim.tbl_get(result or {}, 'serverInfo', 'version'))
      local other = M.mismatch(client)
      if other then
        M.notify(
          ('the plugin is version %s, the server %s: update the older.'):format(M.version, other),
          vim.log.levels.WARN
        )
      end
    end,
    on_exit = on_exit,
    reuse_client = function(client, other)
      return client.name == other.name
        and client.config.root_dir == other.root_dir
        and not is_stopped(client)
    end,
  }
  if modern then
    -- On :q Neovim else sends `shutdown` and is gone before the server has answered. Neovim 0.10 would wait out the
    -- whole time at every exit; there the server ends when its input does.
    config.exit_timeout = 2000
    config.root_dir = function(bufnr, on_dir)
      local root = root_of(bufnr)
      if root then
        on_dir(root)
      end
    end
  end
  return config
end

--- Says once that the program is missing, and whether it is there.
---@param cmd? string[]|function
---@return boolean
local function is_installed(cmd)
  cmd = cmd == M.launch and M.opts.cmd or cmd
  if type(cmd) ~= 'table' or vim.fn.executable(cmd[1]) == 1 then
    return true
  end
  vim.notify_once(
    ('Ropeway: the program "%s" was not found. Install it (cargo install --path .), or say where it is: '):format(
      cmd[1]
    ) .. "require('ropeway').setup({ cmd = { '/path/to/ropeway' } })",
    vim.log.levels.ERROR
  )
  return false
end

--- Attaches one buffer, starting the server of its workspace if there is none.
---@param bufnr integer
---@return integer? client_id
function M.attach(bufnr)
  local root = root_of(bufnr)
  local config = modern and vim.deepcopy(vim.lsp.config['ropeway']) or M.config() ---@diagnostic disable-line: undefined-field
  ---@cast config vim.lsp.Config
  if not root or not is_installed(config.cmd) then
    return nil
  end
  config.root_dir = root
  return vim.lsp.start(config, { bufnr = bufnr, reuse_client = config.reuse_client })
end

---@param bufnr integer
local function attach_if_wanted(bufnr)
  local filetypes = M.opts.filetypes
  if
    vim.api.nvim_buf_is_loaded(bufnr)
    and not (filetypes and not vim.list_contains(filetypes, vim.bo[bufnr].filetype))
    and not (vim.lsp.is_enabled and not vim.lsp.is_enabled('ropeway'))
  then
    M.attach(bufnr)
  end
end

--- Takes the options and starts Ropeway for the open and all later files. May be called again with other options;
--- a running server keeps its own until `:Ropeway restart`.
---@param opts? ropeway.Opts
function M.setup(opts)
  if vim.fn.has('nvim-0.10') == 0 then
    vim.api.nvim_echo(
      { { 'Ropeway needs Neovim 0.10 or newer; it is off.', 'WarningMsg' } },
      true,
      {}
    )
    return
  end
  opts = vim.tbl_extend('force', M.opts, opts or {})
  assert(
    type(opts.cmd) == 'table' and type(opts.cmd[1]) == 'string',
    'ropeway: `cmd` is a list of strings'
  )
  assert(type(opts.settings) == 'table', 'ropeway: `settings` is a table')
  assert(
    vim.list_contains({ 'answer', 'always', 'never' }, opts.window),
    "ropeway: `window` is 'answer', 'always' or 'never'"
  )
  M.opts = opts
  M.configured = true
  if not is_installed(opts.cmd) then
    return
  end
  if modern then
    vim.lsp.config('ropeway', M.config())
    vim.lsp.enable('ropeway')
  end
  -- vim.lsp.enable() looks at a buffer when it gets a file type; a file without one is still worth helping with.
  vim.api.nvim_create_autocmd({ 'FileType', 'BufReadPost', 'BufNewFile' }, {
    group = vim.api.nvim_create_augroup('ropeway', {}),
    desc = 'Ropeway: attach',
    callback = function(args)
      vim.schedule(function()
        attach_if_wanted(args.buf)
      end)
    end,
  })
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    attach_if_wanted(bufnr)
  end
end

--- Stops every Ropeway server and starts it anew, with the options of now.
function M.restart()
  local clients = vim.lsp.get_clients({ name = 'ropeway' })
  restarts = {}
  if #clients == 0 then
    M.setup()
  end
  for _, client in ipairs(clients) do
    restarting[client.id] = true
    if modern then
      client:stop(2000)
    else
      client.stop() ---@diagnostic disable-line: missing-parameter
    end
  end
end

return M
