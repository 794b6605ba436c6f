--- Plays a user in a real Neovim against the real server: nvim -l drive.lua SCENARIO DIRECTORY
---
--- Each file in `scenarios` is one sitting; `user.lua` is the one who sits there. The test that started us plays the
--- model and meets us at gates: we print `gate NAME` and read a line before we go on, so the interleaving is fixed and
--- nothing sleeps.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
package.path = here .. '/?.lua;' .. package.path
local scenario, dir = _G.arg[1], _G.arg[2]

require('user').sits(here, dir)
require('check').main(assert(loadfile(('%s/scenarios/%s.lua'):format(here, scenario))))
