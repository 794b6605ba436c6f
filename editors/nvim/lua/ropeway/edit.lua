--- Answers workspace/applyEdit truthfully.
---
--- The stock handler says `applied: true` after skipping a stale edit, checks the version of the first document only,
--- and ignores it for a document just opened. The server rebases and tries again when it is told the truth, so this one
--- checks everything before it touches anything, gives each buffer one undo step, and takes all back when a part fails.

local ropeway = require('ropeway')
local wire = require('ropeway.wire')

local M = {}

--- Sends what was typed and waits for the debounce: the server must know of it before it hears a refusal.
---@param client vim.lsp.Client
local function flush(client)
  pcall(function()
    require('vim.lsp._changetracking').flush(client)
  end)
end

--- The loaded buffer of this URI. Creates none: a file that is only looked at must not become a buffer.
---@param uri string
---@return integer?
local function loaded(uri)
  local name = vim.uri_to_fname(uri)
  local bufnr = vim.fn.bufexists(name) == 1 and vim.fn.bufadd(name) or -1
  return bufnr ~= -1 and vim.api.nvim_buf_is_loaded(bufnr) and bufnr or nil
end

---@param uri string
---@return string
local function name_of(uri)
  return vim.fn.fnamemodify(vim.uri_to_fname(uri), ':~:.')
end

--- Why this change cannot be made now, nil if it can. Touches nothing.
---@param client vim.lsp.Client
---@param change table a TextDocumentEdit or a resource operation
---@param before table<string, true> URIs that an earlier change of the same request creates or renames
---@return string?
local function obstacle(client, change, before)
  if change.kind == 'create' or change.kind == 'rename' then
    local uri = change.kind == 'create' and change.uri or change.newUri
    local options = ropeway.given(change.options) or {}
    before[uri] = true
    if
      vim.uv.fs_stat(vim.uri_to_fname(uri)) and not (options.overwrite or options.ignoreIfExists)
    then
      return name_of(uri) .. ' exists already'
    end
  end
  if change.kind == 'rename' or change.kind == 'delete' then
    local uri = change.kind == 'delete' and change.uri or change.oldUri
    local options = ropeway.given(change.options) or {}
    if
      not before[uri]
      and not vim.uv.fs_stat(vim.uri_to_fname(uri))
      and not options.ignoreIfNotExists
    then
      return name_of(uri) .. ' does not exist'
    end
    local bufnr = change.kind == 'delete' and loaded(uri)
    if bufnr and vim.bo[bufnr].modified then
      return name_of(uri) .. ' has changes that are not saved'
    end
  end
  if change.kind then
    return nil
  end
  local uri = change.textDocument.uri
  local version = ropeway.given(change.textDocument.version)
  local bufnr = loaded(uri)
  if not bufnr then
    return version and (name_of(uri) .. ' is not open any more') or nil
  end
  if not vim.bo[bufnr].modifiable then
    return name_of(uri) .. " cannot be changed ('nomodifiable')"
  end
  local held = wire.version(client, bufnr)
  if version and version ~= held then
    return ('%s is at version %s, the edit was made for version %d'):format(
      name_of(uri),
      held or 'none',
      version
    )
  elseif not version and vim.bo[bufnr].modified and not before[uri] then
    return name_of(uri) .. ' was opened and changed meanwhile'
  end
  return nil
end

--- Ends the undo step that is open in the buffer, so that the next change begins a new one.
---@param bufnr integer
local function break_undo(bufnr)
  vim.bo[bufnr].undolevels = vim.bo[bufnr].undolevels
end

---@param bufnr integer
---@return integer
local function undo_position(bufnr)
  return vim.api.nvim_buf_call(bufnr, function()
    return vim.fn.undotree().seq_cur
  end)
end

---@param buffer { bufnr: integer, tick: integer, seq: integer }
local function take_back(buffer)
  if vim.api.nvim_buf_get_changedtick(buffer.bufnr) == buffer.tick then
    return
  end
  pcall(vim.api.nvim_buf_call, buffer.bufnr, function()
    break_undo(buffer.bufnr)
    vim.cmd(('silent undo %d'):format(buffer.seq))
  end)
end

--- The buffer of an edit, loaded and known to the server (so that didOpen comes before didChange).
---@param client vim.lsp.Client
---@param uri string
---@return integer
local function open(client, uri)
  local bufnr = loaded(uri)
  if not bufnr then
    bufnr = vim.uri_to_bufnr(uri)
    vim.fn.bufload(bufnr)
    vim.bo[bufnr].buflisted = true
    if vim.bo[bufnr].filetype == '' then
      local filetype = vim.filetype.match({ buf = bufnr })
      if filetype then
        vim.bo[bufnr].filetype = filetype
      end
    end
  end
  vim.lsp.buf_attach_client(bufnr, client.id)
  return bufnr
end

--- Applies a WorkspaceEdit wholly or not at all (what it did to files, as opposed to text, stays).
---@param client vim.lsp.Client
---@param edit table lsp.WorkspaceEdit
---@return { applied: boolean, failureReason?: string, failedChange?: integer }
function M.apply(client, edit)
  local changes = ropeway.given(edit.documentChanges)
  if not changes then
    changes = {}
    for uri, edits in pairs(ropeway.given(edit.changes) or {}) do
      changes[#changes + 1] = { textDocument = { uri = uri }, edits = edits }
    end
  end
  local annotations = ropeway.given(edit.changeAnnotations)

  flush(client)
  local before = {} ---@type table<string, true>
  for i, change in ipairs(changes) do ---@cast i integer
    local reason = obstacle(client, change, before)
    if reason then
      return { applied = false, failureReason = reason, failedChange = i - 1 }
    end
  end

  ---@type { bufnr: integer, tick: integer, seq: integer }[] the buffers changed, with where their undo stood
  local touched = {}
  local seen = {} ---@type table<integer, true>
  for i, change in ipairs(changes) do ---@cast i integer
    local ok, err = pcall(function()
      if change.kind then
        vim.lsp.util.apply_workspace_edit({ documentChanges = { change } }, client.offset_encoding)
        return
      end
      local bufnr = open(client, change.textDocument.uri)
      if not vim.bo[bufnr].modifiable then
        error(name_of(change.textDocument.uri) .. " cannot be changed ('nomodifiable')", 0)
      end
      local tick = vim.api.nvim_buf_get_changedtick(bufnr)
      if not seen[bufnr] then
        seen[bufnr] = true
        break_undo(bufnr)
        touched[#touched + 1] = { bufnr = bufnr, tick = tick, seq = undo_position(bufnr) }
      end
      vim.lsp.util.apply_text_edits(change.edits, bufnr, client.offset_encoding, annotations)
      if #change.edits > 0 and vim.api.nvim_buf_get_changedtick(bufnr) == tick then
        error('declined', 0)
      end
    end)
    if not ok then
      for at = #touched, 1, -1 do
        take_back(touched[at])
      end
      flush(client)
      return { applied = false, failureReason = tostring(err), failedChange = i - 1 }
    end
  end
  for _, buffer in ipairs(touched) do
    break_undo(buffer.bufnr)
  end
  for _, change in ipairs(changes) do
    if not change.kind then
      local uri = change.textDocument.uri
      local bufnr = loaded(uri)
      if bufnr then
        require('ropeway.changes').applied(bufnr, uri, change.edits)
      end
    end
  end
  -- The server believes the text, not the answer: let it come first.
  flush(client)
  return { applied = true }
end

--- The handler for |lsp-handlers|.
---@param params table lsp.ApplyWorkspaceEditParams
---@param client_id integer
---@return { applied: boolean, failureReason?: string, failedChange?: integer }
function M.handler(params, client_id)
  local client = vim.lsp.get_client_by_id(client_id)
  if not client then
    return { applied = false, failureReason = 'the client is gone' }
  end
  local ok, result = pcall(M.apply, client, params.edit)
  if not ok then
    return { applied = false, failureReason = tostring(result) }
  end
  return result
end

return M
