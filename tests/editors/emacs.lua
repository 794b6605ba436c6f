--- Emacs with Eglot, set up by the lines of editors/README.md: nvim -l emacs.lua PLACE DIRECTORY
---
--- PLACE is where `tests/editors/install` put Emacs; it has to be told where its parts are.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
package.path = here .. '/?.lua;' .. here .. '/../nvim/?.lua;' .. package.path
local t = require('check')
local terminal = require('terminal')
local place, dir = _G.arg[1], _G.arg[2]

t.main(function()
  local page = terminal.read('editors/README.md')
  terminal.home('init.el', terminal.block(page, 'Emacs', 'elisp'))
  local init = vim.env.HOME .. '/init.el'
  local lisp = vim.fn.glob(place .. '/root/usr/share/emacs/[0-9]*')
  local dump = vim.fn.glob(place .. '/root/usr/libexec/emacs/*/*/emacs-*.pdmp')
  local command = { place .. '/emacs-nox', '--dump-file=' .. dump, '-Q', '-nw', '-l', init }
  table.insert(command, 'total.py')
  terminal.start(command, dir, {
    EMACSLOADPATH = lisp .. '/lisp',
    EMACSDATA = lisp .. '/etc',
    EMACSDOC = lisp .. '/etc',
    EMACSPATH = '',
  })
  terminal.until_shown('the file is open', 'def total(items):')
  terminal.keys('<Esc>xeglot<CR>')
  terminal.until_shown('Eglot connects', 'Connected!')
  terminal.until_served()
  terminal.keys('<C-n><Esc>xeglot-code-actions<CR>')
  terminal.until_shown('the menu offers what the comment asks for', 'default Ropeway: Implement')
  terminal.keys('<CR>')
  terminal.edit_undo_leave('<C-_>', '<Esc>xkill-emacs<CR>')
end)
