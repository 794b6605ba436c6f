--- `:checkhealth ropeway`

local M = {}

--- Runs the program for a short answer.
---@param cmd string[]
---@param timeout integer ms
---@return vim.SystemCompleted?
local function output(cmd, timeout)
  local ok, process = pcall(vim.system, cmd, { text = true, timeout = timeout })
  return ok and process:wait() or nil
end

---@param program string
local function check_program(program)
  local health = vim.health
  local path = vim.fn.exepath(program)
  if path == '' then
    health.error(('the program "%s" was not found'):format(program), {
      'Install it: `cargo install --path .` in its source directory.',
      "Or say where it is: require('ropeway').setup({ cmd = { '/path/to/ropeway' } })",
    })
    return
  end
  health.ok('program: ' .. path)
  local version = output({ path, '--version' }, 5000)
  if not version or version.code ~= 0 then
    health.error(
      '`' .. path .. ' --version` failed',
      { 'Is it Ropeway, and built for this machine?' }
    )
    return
  end
  health.ok(vim.trim(version.stdout or ''))
  -- Asks the providers as well, which can take a while.
  local doctor = output({ path, 'doctor' }, 20000)
  if not doctor then
    return
  end
  for _, line in ipairs(vim.split(vim.trim(doctor.stdout or ''), '\n')) do
    if line ~= '' then
      health.info(line)
    end
  end
  if doctor.code ~= 0 then
    health.warn('`ropeway doctor` says that the selected model cannot run', {
      'The lines above say why.',
      'Run it in a terminal: it names what is missing and how to mend it.',
    })
  end
end

local function check_servers()
  local health = vim.health
  local ropeway = require('ropeway')
  local clients = vim.lsp.get_clients({ name = 'ropeway' })
  if #clients == 0 then
    health.info('no server is running: it starts with the first file')
  end
  for _, client in ipairs(clients) do
    health.ok(
      ('server %s runs for %s, %d buffers, positions in %s'):format(
        ropeway.server_version(client) or '(version unknown)',
        client.config.root_dir or 'no directory',
        vim.tbl_count(client.attached_buffers),
        client.offset_encoding
      )
    )
    local other = ropeway.mismatch(client)
    if other then
      health.warn(
        ('the plugin is version %s, this server %s'):format(ropeway.version, other),
        { 'Update the older of the two, then `:Ropeway restart`.' }
      )
    end
    local ours = (client.handlers or {})['workspace/applyEdit']
    if not ours or not require('ropeway.wire').version_is_followed(client) then
      health.warn("another configuration took the place of the plugin's handlers or `on_init`", {
        'A stale edit may then be skipped without a word.',
        'Use |LspAttach| for what you do with the client.',
      })
    end
  end
end

function M.check()
  local health = vim.health
  health.start('ropeway')
  if vim.fn.has('nvim-0.10') == 0 then
    health.error('Neovim 0.10 or newer is needed')
    return
  end
  health.ok('Neovim ' .. tostring(vim.version())) ---@diagnostic disable-line: call-non-callable
  local ropeway = require('ropeway')
  local cmd = ropeway.opts.cmd
  if vim.lsp.config then
    local config = vim.lsp.config['ropeway'] ---@diagnostic disable-line: undefined-field
    -- Somebody may have configured another.
    cmd = config and config.cmd ~= ropeway.launch and config.cmd or cmd
  end
  if type(cmd) == 'table' then
    check_program(cmd[1])
  else
    health.info('the server is started by a function')
  end
  local enabled = vim.lsp.is_enabled and vim.lsp.is_enabled('ropeway')
  if ropeway.configured or enabled then
    health.ok('set up')
  else
    health.warn('not set up', { "Put require('ropeway').setup({}) into your init.lua." })
  end
  check_servers()
  health.info('log: ' .. require('ropeway.view').log_path())
end

return M
