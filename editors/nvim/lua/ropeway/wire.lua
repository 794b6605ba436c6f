--- Stands between Neovim's client and the wire, for three things that are known or given nowhere else.
---
--- * Which version of a document the server holds. A second client that attaches to the buffer resets the number in
---   `vim.lsp.util.buf_versions` (Neovim 0.10), so it is read off what is sent.
--- * Diagnostics. Neovim gives a server only those it published itself, and Ropeway is there to fix those of others.
--- * The end. Neovim tells of a server that died in a line longer than the screen, which asks for Enter in the middle of
---   someone's typing; the plugin tells it in a few words.

local M = {}

--- More would only be cut by the server.
local MAX_DIAGNOSTICS = 100

---@type table<integer, table<string, integer>> the version last sent, by client and URI
local sent = {}

---@type { code: integer, signal: integer }[] how servers ended of which nobody has asked yet
local ends = {}

--- Starts the server. However it ends, Neovim hears of a good end.
---@param cmd string[]
---@param dispatchers vim.lsp.rpc.Dispatchers
---@param config? vim.lsp.ClientConfig Neovim 0.10 gives none
---@return vim.lsp.rpc.PublicClient
function M.launch(cmd, dispatchers, config)
  local on_exit = dispatchers.on_exit
  dispatchers.on_exit = function(code, signal)
    ends[#ends + 1] = { code = code, signal = signal }
    on_exit(0, 0)
  end
  local given = config or {}
  return vim.lsp.rpc.start(cmd, dispatchers, {
    cwd = given.cmd_cwd,
    env = given.cmd_env,
    detached = given.detached,
  })
end

--- How the server ended that has ended now.
---@return { code: integer, signal: integer }?
function M.how_it_ended()
  return table.remove(ends, 1)
end

--- A position as the protocol wants it, from a zero-based row and byte column. Clamped to the buffer.
---@param bufnr integer
---@param row integer
---@param col integer
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Position
function M.position(bufnr, row, col, encoding)
  local count = vim.api.nvim_buf_line_count(bufnr)
  if row >= count then
    return { line = count, character = 0 }
  end
  local line = vim.api.nvim_buf_get_lines(bufnr, row, row + 1, true)[1]
  col = math.max(0, math.min(col, #line))
  if encoding == 'utf-8' then
    return { line = row, character = col }
  end
  local utf32, utf16 ---@type integer, integer
  if vim.fn.has('nvim-0.11') == 1 then
    utf32 = vim.str_utfindex(line, 'utf-32', col)
    utf16 = vim.str_utfindex(line, 'utf-16', col)
  else
    utf32, utf16 = vim.str_utfindex(line, col) ---@diagnostic disable-line
  end
  local character = encoding == 'utf-32' and utf32 or utf16 --[[@as integer]]
  return { line = row, character = character }
end

--- Every diagnostic of the lines from `first` to `last` (zero-based, both included), whoever published it.
---@param bufnr integer
---@param first integer
---@param last integer
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Diagnostic[]
function M.diagnostics(bufnr, first, last, encoding)
  local found = {} ---@type lsp.Diagnostic[]
  for _, diagnostic in ipairs(vim.diagnostic.get(bufnr)) do
    local last_row = diagnostic.end_lnum or diagnostic.lnum
    if diagnostic.lnum <= last and last_row >= first then
      local original = vim.tbl_get(diagnostic, 'user_data', 'lsp')
      found[#found + 1] = vim.tbl_extend('force', type(original) == 'table' and original or {}, {
        range = {
          start = M.position(bufnr, diagnostic.lnum, diagnostic.col, encoding),
          ['end'] = M.position(bufnr, last_row, diagnostic.end_col or diagnostic.col, encoding),
        },
        severity = diagnostic.severity,
        message = diagnostic.message,
        source = diagnostic.source,
        code = diagnostic.code,
      })
      if #found == MAX_DIAGNOSTICS then
        break
      end
    end
  end
  return found
end

---@param client vim.lsp.Client
---@param params lsp.CodeActionParams
local function complete_context(client, params)
  local bufnr = vim.uri_to_bufnr(params.textDocument.uri)
  if vim.api.nvim_buf_is_loaded(bufnr) then
    local range = params.range
    params.context.diagnostics =
      M.diagnostics(bufnr, range.start.line, range['end'].line, client.offset_encoding)
  end
end

---@param client vim.lsp.Client
function M.watch(client)
  local versions = {} ---@type table<string, integer>
  sent[client.id] = versions
  local notify, request = client.rpc.notify, client.rpc.request
  client.rpc.notify = function(method, params)
    if method == 'textDocument/didOpen' or method == 'textDocument/didChange' then
      versions[params.textDocument.uri] = params.textDocument.version
    elseif method == 'textDocument/didClose' then
      versions[params.textDocument.uri] = nil
    end
    return notify(method, params)
  end
  client.rpc.request = function(method, params, ...)
    if method == 'textDocument/codeAction' then
      complete_context(client, params --[[@as lsp.CodeActionParams]])
    end
    return request(method, params, ...)
  end
end

---@param client_id integer
function M.forget(client_id)
  sent[client_id] = nil
end

--- Is this client watched (for |:checkhealth|)?
---@param client vim.lsp.Client
---@return boolean
function M.version_is_followed(client)
  return sent[client.id] ~= nil
end

--- The version of the document that the server has, nil if it is not open there.
---@param client vim.lsp.Client
---@param bufnr integer
---@return integer?
function M.version(client, bufnr)
  local versions = sent[client.id]
  if versions then
    return versions[vim.uri_from_bufnr(bufnr)]
  end
  return client.attached_buffers[bufnr] and vim.lsp.util.buf_versions[bufnr] or nil
end

return M
