--- Every <Plug> map, by a key that a user gave it, and the words of `:Ropeway` that no other sitting uses.

local t = require('check')
local user = require('user')

user.open('total.py')
-- As the help page has it.
user.lua([[
  for key, name in pairs({
    r = 'menu', e = 'edit', f = 'fix', x = 'explain', v = 'review',
  }) do
    vim.keymap.set({ 'n', 'x' }, '\\' .. key, '<Plug>(ropeway-' .. name .. ')')
  end
  for key, name in pairs({
    A = 'accept', W = 'answer', P = 'approve', C = 'cancel', G = 'changes', D = 'diff', M = 'model',
    R = 'reject', T = 'revert', S = 'stats',
  }) do
    vim.keymap.set('n', '\\' .. key, '<Plug>(ropeway-' .. name .. ')')
  end]])

-- With nothing to do, each says so.
user.keys([[\A]])
user.until_told('accept', '^Ropeway: no proposed edit to accept')
user.keys([[\R]])
user.until_told('reject', '^Ropeway: no proposed edit to reject')
user.keys([[\W]])
user.until_told('answer', '^Ropeway: no answer yet')
user.keys([[\P]])
user.until_told('approve', '^Ropeway: nothing waits for an answer')
user.keys([[\C]])
user.until_told('cancel', '^Ropeway: nothing is running')
user.keys([[\G]])
user.until_told('changes', '^Ropeway: no run has changed anything')
user.keys([[\D]])
user.until_told('diff', '^Ropeway: nothing was staged')
user.keys([[\T]])
user.until_told('revert', '^Ropeway: no run has changed anything')
user.keys([[\f]])
user.until_told('fix', '^Ropeway: no diagnostic here')

-- The menu, of the symbol and of a selection.
user.keys([[\r]])
user.until_true('the menu opens', 'seen.menu', 'seen')
local menu = user.lua('local menu = seen.menu seen.menu = nil return menu')
t.check('with the actions of a symbol', vim.list_contains(menu, 'Ropeway: Explain'), menu)
user.keys([[jV\r<Esc>]])
user.until_true('the menu opens for a selection', 'seen.menu', 'seen')
menu = user.lua('local menu = seen.menu seen.menu = nil return menu')
t.check(
  'with what only a selection has',
  vim.iter(menu):any(function(title)
    return title:find('^Ropeway: Edit selection') ~= nil
  end),
  menu
)

-- Runs. The test's model answers each with what it was asked.
user.lua([[seen.answer = 'say it in words']])
user.keys([[ggV\e]])
user.gate('edit')
user.finished('edit of a selection', 'answered')
t.same('asks for the instruction', user.lua('return seen.asked'), 'Ropeway edit: ')
user.lua([[vim.diagnostic.set(vim.api.nvim_create_namespace('compiler'), 0, {
  { lnum = 1, col = 4, end_col = 7, message = 'sum hides a builtin', severity = 2 },
})]])
user.keys([[2G\f]])
user.gate('fix')
user.finished('fix of a line with a diagnostic', 'answered')
user.keys([[\x]])
user.gate('explain')
user.finished('explain', 'answered')
user.until_below('whose answer opens', 'It adds up.')
user.keys([[\v]])
user.gate('review')
user.finished('review', 'answered')
user.keys([[<C-w>jq\W]])
user.until_true('answer opens the window again', user.BELOW .. " ~= ''")
user.keys([[\S]])
user.until_below('stats', 'tokens.input')
user.keys([[\M]])
user.until_true('model asks which', [[seen.menu_kind == 'ropeway-model']], 'seen')
t.check('with the one that can run first', user.lua('return seen.menu[1]') == 'play/m')

-- The conversation, shortened and forgotten.
user.command('Ropeway compact')
user.until_told('compact says what it has won', '^Ropeway: compact: %d+ messages, before %d+')
user.command('Ropeway clear')
user.until_told('clear, too', '^Ropeway: clear: 0 messages, before %d+')

user.command('Ropeway log')
user.until_true(
  'log opens the log, to be read only',
  [[vim.fn.expand('%:t') == 'lsp.log' and vim.bo.readonly]]
)
user.quit()
