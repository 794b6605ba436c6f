-- Defines :Ropeway. Nothing else of the plugin is loaded until it is used or set up.
if vim.g.loaded_ropeway then
  return
end
vim.g.loaded_ropeway = true

if vim.fn.has('nvim-0.10') == 0 then
  vim.api.nvim_echo({
    { 'Ropeway needs Neovim 0.10 or newer; the plugin is off. See :version.', 'WarningMsg' },
  }, true, {})
  return
end

vim.api.nvim_create_user_command('Ropeway', function(opts)
  require('ropeway.command').run(opts)
end, {
  nargs = '*',
  range = true,
  desc = 'Ropeway: run an action of the coding agent, or control it',
  complete = function(lead, line)
    return require('ropeway.command').complete(lead, line)
  end,
})
