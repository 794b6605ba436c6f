--- The applyEdit handler and what goes over the wire, against a server inside this Neovim: nvim -l edits.lua
---
--- A server of our own can send what the real one never does (a stale version, a second file that fails), which is
--- what this handler is for.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
package.path = here .. '/?.lua;' .. package.path
vim.opt.runtimepath:prepend(vim.fn.fnamemodify(here .. '/../../editors/nvim', ':p'))
local t = require('check')
local ropeway = require('ropeway')

vim.cmd('filetype on')
vim.o.hidden = true

---@class Fake
---@field log table[] what the client sent
---@field ask fun(method: string, params: table): any, any asks the client as the server does

--- Starts a client whose server is this table.
---@param config table
---@param bufnr integer
---@return Fake
local function fake(config, bufnr)
  local server = { log = {} }
  config.cmd = function(dispatchers)
    local closing = false
    server.ask = dispatchers.server_request
    return {
      request = function(method, params, callback)
        server.log[#server.log + 1] = { method = method, params = vim.deepcopy(params) }
        local result = vim.NIL
        if method == 'initialize' then
          result = {
            capabilities = {
              positionEncoding = vim.fn.has('nvim-0.11') == 1 and 'utf-8' or 'utf-16',
              textDocumentSync = { openClose = true, change = 2 },
              codeActionProvider = true,
            },
          }
        elseif method == 'textDocument/codeAction' then
          result = {}
        end
        callback(nil, result)
        return true, #server.log
      end,
      notify = function(method, params)
        server.log[#server.log + 1] = { method = method, params = vim.deepcopy(params) }
        return true
      end,
      is_closing = function()
        return closing
      end,
      terminate = function()
        closing = true
      end,
    }
  end
  config.root_dir = vim.fs.dirname(vim.api.nvim_buf_get_name(bufnr))
  server.id = assert(vim.lsp.start(config, { bufnr = bufnr }))
  return server
end

---@param text string
---@param name string
---@return integer bufnr, string uri
local function open(dir, name, text)
  local path = dir .. '/' .. name
  vim.fn.writefile(vim.split(text, '\n'), path, 'b')
  vim.cmd.edit(vim.fn.fnameescape(path))
  return vim.api.nvim_get_current_buf(), vim.uri_from_fname(path)
end

local function text(bufnr)
  return table.concat(vim.api.nvim_buf_get_lines(bufnr, 0, -1, true), '\n')
end

--- Replaces whole lines, as the server does.
local function lines(from, to, new)
  return {
    range = { start = { line = from, character = 0 }, ['end'] = { line = to, character = 0 } },
    newText = new,
  }
end

local function document(uri, version, edits)
  return { textDocument = { uri = uri, version = version }, edits = edits }
end

--- The version that the server was told last.
local function told(server, uri)
  local version
  for _, message in ipairs(server.log) do
    local document_ = message.params and message.params.textDocument
    if document_ and document_.uri == uri and document_.version then
      version = document_.version
    end
  end
  return version
end

local function apply(server, changes)
  return server.ask('workspace/applyEdit', { edit = { documentChanges = changes } })
end

t.main(function()
  local dir = vim.fn.tempname()
  vim.fn.mkdir(dir, 'p')
  local buf, uri = open(dir, 'a.txt', 'one\ntwo\nthree\n')
  local server = fake(ropeway.config(), buf)
  t.wait('the document is opened', function()
    return told(server, uri)
  end)
  local init = server.log[1].params.initializationOptions
  t.same('status and events are asked for', { init.status, init.events }, { true, true })
  t.check('settings are an object', vim.json.encode(init.settings) == '{}', init)
  t.check('trusted unless said otherwise', init.trusted == true)

  -- An edit for the present version.
  vim.api.nvim_buf_set_lines(buf, 0, 1, true, { 'one typed' })
  local stale = told(server, uri)
  local result = apply(server, { document(uri, stale, { lines(1, 2, 'TWO\n') }) })
  t.check('an edit for an older version is refused', result.applied == false, result)
  t.check('the refusal says why', (result.failureReason or ''):find('version'), result)
  t.same('a refused edit changes nothing', text(buf), 'one typed\ntwo\nthree')
  t.check('the server has heard of the typing before the refusal', told(server, uri) > stale)

  local last_line = { line = 2, character = 5 }
  local append = { range = { start = last_line, ['end'] = last_line }, newText = '\nfour' }
  local edits = { lines(1, 2, 'TWO\n'), append }
  result = apply(server, { document(uri, told(server, uri), edits) })
  t.same('an edit for the present version is applied', result, { applied = true })
  t.same('its text', text(buf), 'one typed\nTWO\nthree\nfour')
  local last = server.log[#server.log]
  t.same('the change is told before the answer', last.method, 'textDocument/didChange')
  vim.cmd('silent undo')
  t.same('one undo takes the whole edit back and no more', text(buf), 'one typed\ntwo\nthree')
  vim.cmd('silent redo')
  t.same('redo brings it back', text(buf), 'one typed\nTWO\nthree\nfour')
  vim.cmd('silent undo')
  vim.cmd('silent undo')
  t.same('the next undo takes the typing back', text(buf), 'one\ntwo\nthree')

  -- Several documents: all or nothing.
  local other, other_uri = open(dir, 'b.txt', 'b1\nb2\n')
  t.wait('the second document is opened', function()
    vim.lsp.buf_attach_client(other, server.id)
    return told(server, other_uri)
  end)
  result = apply(server, {
    document(uri, told(server, uri), { lines(0, 1, 'ONE\n') }),
    document(other_uri, told(server, other_uri) + 1, { lines(0, 1, 'B1\n') }),
  })
  t.same('a stale second document is found', { result.applied, result.failedChange }, { false, 1 })
  t.same('and the first is untouched', text(buf), 'one\ntwo\nthree')

  local stock, calls = vim.lsp.util.apply_text_edits, 0
  vim.lsp.util.apply_text_edits = function(...)
    calls = calls + 1
    if calls == 2 then
      error('the disk is full', 0)
    end
    return stock(...)
  end
  result = apply(server, {
    document(uri, told(server, uri), { lines(0, 1, 'ONE\n') }),
    document(other_uri, told(server, other_uri), { lines(0, 1, 'B1\n') }),
  })
  vim.lsp.util.apply_text_edits = stock
  t.same('a failure on the way is reported', result.failureReason, 'the disk is full')
  t.same('what was changed before it is taken back', text(buf), 'one\ntwo\nthree')
  t.same('and nothing else is', text(other), 'b1\nb2')

  vim.bo[other].modifiable = false
  result = apply(server, {
    document(uri, told(server, uri), { lines(0, 1, 'ONE\n') }),
    document(other_uri, told(server, other_uri), { lines(0, 1, 'B1\n') }),
  })
  vim.bo[other].modifiable = true
  t.check('a buffer that may not change refuses', result.applied == false, result)
  t.same('before anything is changed', text(buf), 'one\ntwo\nthree')

  -- A file that is not open.
  local closed = dir .. '/c.txt'
  vim.fn.writefile({ 'c1', 'c2' }, closed)
  for _, none in ipairs({ vim.NIL, false }) do
    local closed_uri = vim.uri_from_fname(closed)
    result = apply(server, { document(closed_uri, none or nil, { lines(0, 1, 'C1\n') }) })
    t.same('a file that is not open is edited', result, { applied = true })
    local bufnr = vim.fn.bufnr(closed)
    t.same('in a buffer', text(bufnr), 'C1\nc2')
    t.check('that is listed and not saved', vim.bo[bufnr].buflisted and vim.bo[bufnr].modified)
    t.same('the file itself is as it was', vim.fn.readfile(closed), { 'c1', 'c2' })
    local seen = {}
    for _, message in ipairs(server.log) do
      local params = message.params
      if params and params.textDocument and params.textDocument.uri == closed_uri then
        seen[#seen + 1] = message.method
      end
    end
    t.same(
      'the server hears didOpen before didChange',
      vim.list_slice(seen, #seen - 1),
      { 'textDocument/didOpen', 'textDocument/didChange' }
    )
    result = apply(server, { document(closed_uri, none or nil, { lines(0, 1, 'X\n') }) })
    t.check(
      'once it is open and changed, it must be addressed by version',
      not result.applied,
      result
    )
    vim.cmd.bwipeout({ args = { tostring(bufnr) }, bang = true })
  end
  result = apply(server, { document(vim.uri_from_fname(closed), 3, { lines(0, 1, 'X\n') }) })
  t.check('a version of a file that is open no more is refused', not result.applied, result)
  t.check('and the file stays closed', vim.fn.bufloaded(closed) == 0)

  -- Resource operations.
  local new_uri = vim.uri_from_fname(dir .. '/sub/new.txt')
  result = apply(server, {
    { kind = 'create', uri = new_uri },
    document(new_uri, nil, { { range = lines(0, 1).range, newText = 'n1\nn2\n' } }),
  })
  t.same('a file is created and filled', result, { applied = true })
  t.same('with this text', text(vim.uri_to_bufnr(new_uri)), 'n1\nn2')
  result = apply(server, { { kind = 'create', uri = uri } })
  t.check('an existing file is not created', not result.applied, result)
  result = apply(server, { { kind = 'rename', oldUri = uri, newUri = other_uri } })
  t.check('a file is not renamed onto another', not result.applied, result)
  result = apply(server, { { kind = 'delete', uri = vim.uri_from_fname(dir .. '/none') } })
  t.check('a file that is not there is not deleted', not result.applied, result)
  result = apply(server, { { kind = 'fold', uri = uri } })
  t.check('an unknown operation is refused', not result.applied, result)

  -- A user who says no (Neovim 0.11 asks).
  if vim.fn.has('nvim-0.11') == 1 then
    local confirm = vim.fn.confirm
    vim.fn.confirm = function()
      return 2
    end
    local annotated = lines(0, 1, 'ONE\n')
    annotated.annotationId = 'r'
    result = server.ask('workspace/applyEdit', {
      edit = {
        documentChanges = { document(uri, told(server, uri), { annotated }) },
        changeAnnotations = { r = { label = 'Ropeway', needsConfirmation = true } },
      },
    })
    vim.fn.confirm = confirm
    t.same(
      'a refusal by the user is told',
      { result.applied, result.failureReason },
      { false, 'declined' }
    )
    t.same('and changes nothing', text(buf), 'one\ntwo\nthree')
  end

  -- Hostile or broken requests.
  for name, params in pairs({
    ['no edit'] = {},
    ['edit null'] = { edit = vim.NIL },
    ['a document without a name'] = { edit = { documentChanges = { { edits = {} } } } },
    ['edits that are none'] = {
      edit = { documentChanges = { document(uri, told(server, uri), 7) } },
    },
  }) do
    result = server.ask('workspace/applyEdit', params)
    t.check('refused, not thrown: ' .. name, result and result.applied == false, result)
  end
  result = server.ask('workspace/applyEdit', { edit = vim.empty_dict() })
  t.same('an empty edit is applied', result, { applied = true })
  t.same('the text has survived it all', text(buf), 'one\ntwo\nthree')

  -- Another client of the same buffer does not confuse the version.
  vim.api.nvim_buf_set_lines(buf, 0, 1, true, { 'one more' })
  local second = fake({ name = 'another' }, buf)
  t.wait('another client attaches', function()
    return told(second, uri)
  end)
  t.check('the first knows of the typing', told(server, uri) > 0)
  result = apply(server, { document(uri, told(server, uri), { lines(1, 2, 'TWO\n') }) })
  t.same('the version is still the one this server holds', result, { applied = true })

  -- Positions in the encoding agreed on.
  local wire = require('ropeway.wire')
  vim.api.nvim_buf_set_lines(buf, 0, 1, true, { 'aé😀b' })
  local columns = vim.tbl_map(function(encoding)
    return wire.position(buf, 0, 7, encoding).character
  end, { 'utf-8', 'utf-16', 'utf-32' })
  t.same('a column in three encodings', columns, { 7, 4, 3 })
  t.same('past the line', wire.position(buf, 0, 99, 'utf-16').character, 5)
  t.same('past the text', wire.position(buf, 99, 0, 'utf-16').line, 3)

  -- The diagnostics of others reach the server with the editor's own menu.
  local namespace = vim.api.nvim_create_namespace('compiler')
  vim.diagnostic.set(namespace, buf, {
    { lnum = 1, col = 0, end_col = 3, message = 'broken', severity = 1, source = 'compiler' },
    { lnum = 2, col = 0, message = 'elsewhere' },
  })
  vim.api.nvim_set_current_buf(buf)
  vim.api.nvim_win_set_cursor(0, { 2, 1 })
  vim.notify = function() end ---@diagnostic disable-line: duplicate-set-field
  vim.lsp.buf.code_action()
  local asked
  t.wait('code actions are asked for', function()
    for _, message in ipairs(server.log) do
      asked = message.method == 'textDocument/codeAction' and message.params or asked
    end
    return asked
  end)
  local given = asked.context.diagnostics
  t.same('with the one of the line', { #given, given[1] and given[1].message }, { 1, 'broken' })
  t.same('in its place', given[1].range, {
    start = { line = 1, character = 0 },
    ['end'] = { line = 1, character = 3 },
  })
  for _, message in ipairs(second.log) do
    if message.method == 'textDocument/codeAction' then
      t.same('other servers are asked as ever', message.params.context.diagnostics, {})
    end
  end
end)
