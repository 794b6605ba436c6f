--- The lualine component: `sections = { lualine_x = { 'ropeway' } }`. It shows |ropeway.status()|.

local M = require('lualine.component'):extend() ---@diagnostic disable-line: unresolved-require

--- Called by lualine when it draws.
---@return string
function M.update_status()
  return require('ropeway').status()
end

return M
