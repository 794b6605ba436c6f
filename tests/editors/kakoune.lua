--- Kakoune with kakoune-lsp, set up by the lines of editors/README.md: nvim -l kakoune.lua PLACE DIRECTORY
---
--- PLACE is where `tests/editors/install` put Kakoune; kakoune-lsp is beside it.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
package.path = here .. '/?.lua;' .. here .. '/../nvim/?.lua;' .. package.path
local t = require('check')
local terminal = require('terminal')
local place, dir = _G.arg[1], _G.arg[2]

t.main(function()
  local page = terminal.read('editors/README.md')
  terminal.home('config/kak/kakrc', terminal.block(page, 'Kakoune', 'kak'))
  local lsp = vim.fs.dirname(place) .. '/kak-lsp/bin'
  assert(vim.uv.fs_stat(lsp .. '/kak-lsp'), 'kak-lsp is missing: tests/editors/install builds it')
  local path = { vim.env.HOME .. '/bin', place, lsp, vim.env.PATH }
  terminal.start({ place .. '/kak', 'total.py' }, dir, { PATH = table.concat(path, ':') })
  terminal.until_shown('the file is open', 'def total(items):')
  terminal.keys('j:lsp-code-actions<CR>')
  terminal.until_shown('the menu offers what the comment asks for', 'Ropeway: Implement')
  terminal.keys('Implement<Tab><CR>')
  terminal.edit_undo_leave('u', ':q!<CR>')
end)
