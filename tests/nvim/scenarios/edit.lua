--- Code action, typing while the model speaks, the edit, undo, redo, revert.

local t = require('check')
local user = require('user')

user.open('total.py')
user.keys('O# typed before<Esc>')
user.until_text('typing before the run', '# typed before\n' .. [[
def total(items):
    sum = 0
    for item in items:
        sum = sum + item
    return sum]])
user.lua([[seen.pick, seen.answer = 'edit', 'use the builtin sum']])
user.keys('jVG<Cmd>lua vim.lsp.buf.code_action()<CR><Esc>')
user.until_true('the menu offers it', 'seen.menu ~= nil and #seen.menu > 0')
t.same('the client asks for the instruction', user.lua('return seen.asked'), 'Ropeway edit: ')
user.gate('asked')
user.until_true(
  'a tool runs while the model still speaks',
  [[vim.iter(seen.events):any(function(e) return e.kind == 'toolFinished' end)]]
)
user.until_true(
  'the status line says that it works',
  [[require('ropeway').status():find('ropeway %a+ · ')]]
)
user.gate('read')
user.keys('Go# typed meanwhile')
local before = '# typed before\n'
  .. [[
def total(items):
    sum = 0
    for item in items:
        sum = sum + item
    return sum
# typed meanwhile]]
user.until_text('typing during the run, still in insert mode', before)
user.gate('typed')
local after = '# typed before\ndef total(items):\n    return sum(items)\n# typed meanwhile'
user.until_text('the edit arrives and the typed text is kept', after)
local outcome = user.finished('the run', 'applied')
t.same('it changed one file', #(outcome.files or {}), 1)
t.check('insert mode goes on', user.mode() == 'i')
user.keys(', and after')
user.until_text('typing goes on where it was', after .. ', and after')
user.keys('<Esc>u')
user.until_text('the first undo takes back only what was typed after the edit', after)
user.keys('u')
user.until_text('the next gives back the text before the edit, with all typing', before)
user.keys('<C-r>')
user.until_text('redo brings the edit back', after)
user.keys('<C-r>')
user.until_text('and the typing', after .. ', and after')
user.keys('Go# later<Esc>')
user.until_text('typing later', after .. ', and after\n# later')
user.command('write')
user.until_true('saved', 'not vim.bo.modified')
user.command('Ropeway revert')
user.until_text('revert takes back the run and keeps all typing', before .. ', and after\n# later')
user.until_true(
  'and says so',
  [[seen.notes[#seen.notes].message:find('^Ropeway: revert: changed total.py')]],
  'seen.notes'
)
user.keys('u')
user.until_text('which is an undo step as well', after .. ', and after\n# later')
user.quit()
