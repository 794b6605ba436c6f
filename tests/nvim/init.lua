-- What a user has in init.lua, and a record of what the plugin said, for the driver to look at.
local root = vim.env.ROPEWAY_TEST_ROOT
vim.opt.runtimepath:prepend(root .. '/editors/nvim')
vim.o.swapfile = false
vim.o.hidden = true
vim.o.autoindent = false
vim.cmd('filetype on')

_G.seen = { events = {}, notes = {}, progress = {}, statuses = 0, starts = 0 }
vim.notify = function(message, level) ---@diagnostic disable-line: duplicate-set-field
  table.insert(seen.notes, { message = message, level = level })
end
vim.api.nvim_create_autocmd('User', {
  pattern = 'RopewayEvent',
  callback = function(args)
    table.insert(seen.events, args.data)
  end,
})
vim.api.nvim_create_autocmd('User', {
  pattern = 'RopewayStatus',
  callback = function(args)
    seen.statuses = seen.statuses + 1
    seen.status = args.data
  end,
})
vim.api.nvim_create_autocmd('LspAttach', {
  callback = function()
    seen.starts = seen.starts + 1
  end,
})
vim.api.nvim_create_autocmd('LspProgress', {
  callback = function(args)
    local value = args.data.params.value
    seen.progress[#seen.progress + 1] = { kind = value.kind, title = value.title }
  end,
})
-- The user picks in the code action menu what the driver wants, and gives this instruction.
vim.ui.select = function(items, opts, done) ---@diagnostic disable-line: duplicate-set-field
  if opts.kind == 'ropeway-approval' then
    seen.question = { prompt = opts.prompt, choices = vim.tbl_map(opts.format_item, items) }
    for _, item in ipairs(items) do
      if item.title == seen.allow then
        return done(item)
      end
    end
    return done(nil)
  end
  seen.menu_kind = opts.kind
  seen.menu = vim.tbl_map(opts.format_item or tostring, items)
  for _, item in ipairs(items) do
    local command = vim.tbl_get(item, 'action', 'command')
    if type(command) == 'table' and vim.tbl_get(command, 'arguments', 1, 'action') == seen.pick then
      return done(item)
    end
  end
  done(nil)
end
vim.ui.input = function(opts, done) ---@diagnostic disable-line: duplicate-set-field
  seen.asked = opts.prompt
  done(seen.answer)
end

require('ropeway').setup({ cmd = { vim.env.ROPEWAY_TEST_PROGRAM } })
