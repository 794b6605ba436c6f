--- The little that both Lua tests stand on: named checks, and waiting for a condition instead of a time.

local M = { failed = 0, count = 0 }

---@param name string
---@param ok any
---@param detail? any shown when it fails
function M.check(name, ok, detail)
  M.count = M.count + 1
  if not ok then
    M.failed = M.failed + 1
  end
  local shown = not ok and detail ~= nil and (': ' .. vim.inspect(detail):gsub('\n%s*', ' ')) or ''
  io.write((ok and 'ok ' or 'not ok ') .. name .. shown .. '\n')
  io.flush()
end

--- Checks that both are the same, in depth.
---@param name string
---@param got any
---@param want any
function M.same(name, got, want)
  M.check(name, vim.deep_equal(got, want), { got = got, want = want })
end

--- Waits until `done` is true; a poll, so no time is built in but the one after which something surely hangs.
---@param name string
---@param done fun(): any
---@param detail? fun(): any
function M.wait(name, done, detail)
  local ok = vim.wait(30000, function()
    return done() and true or false
  end, 5)
  M.check(name, ok, not ok and detail and detail() or nil)
  return ok
end

--- Runs the test and leaves with its result.
---@param body fun()
function M.main(body)
  local ok, err = xpcall(body, debug.traceback)
  if not ok then
    M.check('no error', false, err)
  end
  io.write(('done %d checks, %d failed\n'):format(M.count, M.failed))
  io.flush()
  os.exit(M.failed == 0 and 0 or 1)
end

return M
