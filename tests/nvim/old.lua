--- A language server that only says which version it is: nvim -l old.lua VERSION FILE
---
--- What it was asked to begin with it writes into the file.

local function send(message)
  local body = vim.json.encode(message)
  io.write(('Content-Length: %d\r\n\r\n%s'):format(#body, body))
  io.flush()
end

while true do
  local length
  repeat
    local line = io.read('*l')
    if not line then
      return
    end
    length = tonumber(line:match('^Content%-Length: (%d+)')) or length
  until line == '\r' or line == ''
  local message = vim.json.decode(io.read(length))
  if message.method == 'initialize' then
    vim.fn.writefile({ vim.json.encode(message.params) }, _G.arg[2])
    send({
      jsonrpc = '2.0',
      id = message.id,
      result = {
        capabilities = vim.empty_dict(),
        serverInfo = { name = 'ropeway', version = _G.arg[1] },
      },
    })
  elseif message.method == 'exit' then
    return
  elseif message.id then
    send({ jsonrpc = '2.0', id = message.id, result = vim.NIL })
  end
end
