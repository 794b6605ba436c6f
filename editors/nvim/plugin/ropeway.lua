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

-- Nothing is mapped to keys; these are to map.
for name, command in pairs({
  menu = '',
  edit = 'edit',
  fix = 'fix',
  explain = 'explain',
  review = 'review',
}) do
  -- `:` and not <Cmd>: in Visual mode it puts the range there.
  local keys = (':Ropeway %s<CR>'):format(command)
  vim.keymap.set({ 'n', 'x' }, ('<Plug>(ropeway-%s)'):format(name), keys, {
    silent = true,
    desc = 'Ropeway: ' .. (command == '' and 'actions' or command),
  })
end
for _, name in ipairs({
  'accept',
  'answer',
  'approve',
  'cancel',
  'changes',
  'diff',
  'model',
  'reject',
  'revert',
  'stats',
}) do
  vim.keymap.set('n', ('<Plug>(ropeway-%s)'):format(name), ('<Cmd>Ropeway %s<CR>'):format(name), {
    desc = 'Ropeway: ' .. name,
  })
end
