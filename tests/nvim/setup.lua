--- What a user does first: the lines of the README, the help page, a program that is not there, a server of another
--- version: nvim -l setup.lua
---
--- The documented lines are read out of the documents and run, so that they cannot be wrong.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
package.path = here .. '/?.lua;' .. package.path
local t = require('check')
local user = require('user')
local root = vim.fs.dirname(vim.fs.dirname(here))
local plugin = root .. '/editors/nvim'

---@param path string
---@return string
local function read(path)
  return table.concat(vim.fn.readfile(root .. '/' .. path), '\n')
end

--- The block of Lua in a Markdown page that has this word.
---@param page string
---@param word string
---@return string
local function block(page, word)
  for lua in page:gmatch('```lua\n(.-)\n```') do
    if lua:find(word, 1, true) then
      return lua
    end
  end
  error('no block with ' .. word)
end

--- What lazy.nvim does with a plugin that has `opts`: it looks for the module to set up among those at the top of the
--- plugin's `lua`: the one that is called like the plugin, else the only one.
---@param spec table
---@return string?
local function main_of(spec)
  ---@param name string
  local function normal(name)
    local short = name:lower():gsub('^n?vim%-', ''):gsub('%.n?vim$', ''):gsub('[%.%-]lua', '')
    return (short:gsub('[^a-z]+', ''))
  end
  local modules = {}
  for name in vim.fs.dir(plugin .. '/lua') do
    modules[#modules + 1] = name:gsub('%.lua$', '')
    if normal(modules[#modules]) == normal(spec.name or vim.fs.basename(spec.dir)) then
      return modules[#modules]
    end
  end
  return spec.main or (#modules == 1 and modules[1] or nil)
end

t.main(function()
  local home = assert(vim.env.HOME)
  vim.fn.mkdir(home .. '/src', 'p')
  assert(vim.uv.fs_symlink(root, home .. '/src/ropeway'))
  local dir = home .. '/work'
  vim.fn.mkdir(dir .. '/.git', 'p')
  vim.fn.writefile({ 'value = 1' }, dir .. '/a.py')
  -- The program is on the PATH, where the lines look for it.
  vim.fn.mkdir(home .. '/bin')
  assert(vim.uv.fs_symlink(assert(vim.env.ROPEWAY_TEST_PROGRAM), home .. '/bin/ropeway'))
  vim.env.PATH = home .. '/bin:' .. vim.env.PATH
  user.sits(here, dir)

  -- lazy.nvim.
  for _, page in ipairs({ 'editors/nvim/README.md', 'README.md' }) do
    local spec = assert(loadstring('return ' .. block(read(page), 'opts')))()
    t.same(
      page .. ': lazy.nvim finds the plugin',
      vim.fn.expand(spec.dir),
      home .. '/src/ropeway/editors/nvim'
    )
    t.same(page .. ': and the module to set up', main_of(spec), 'ropeway')
  end

  -- By hand, in a home that has nothing else.
  local init = home .. '/init.lua'
  local lines = block(read('editors/nvim/README.md'), 'runtimepath')
  vim.fn.writefile(vim.split(lines, '\n'), init)
  user.start('a.py', init)
  user.until_true(
    'the lines start the server',
    "require('ropeway').client(0, true)",
    'vim.v.errmsg'
  )
  user.until_true('the command is there', "vim.fn.exists(':Ropeway') == 2")
  user.command(read('editors/nvim/README.md'):match('`:(helptags [^`]+)`'))
  user.command('help ropeway')
  user.until_true(
    'and so is the help page',
    [[vim.fn.expand('%:t') == 'ropeway.txt']],
    'vim.v.errmsg'
  )
  user.command('helpclose')
  user.quit()

  -- The help page.
  vim.opt.runtimepath:prepend(plugin)
  vim.cmd('runtime plugin/ropeway.lua')
  vim.cmd.helptags(plugin .. '/doc')
  local help = read('editors/nvim/doc/ropeway.txt')
  -- What it refers to is in the newest Neovim.
  if vim.fn.has('nvim-0.11') == 1 then
    for tag in help:gmatch('|([^%s|]+)|') do
      t.check('the help page leads to ' .. tag, pcall(vim.cmd.help, tag))
    end
  end
  vim.cmd('silent! helpclose')
  for _, word in ipairs(require('ropeway.command').complete('', 'Ropeway ')) do
    local described = help:find(':Ropeway ' .. word, 1, true) or help:find('\t' .. word, 1, true)
    t.check('the help page has the word ' .. word, described)
  end
  for _, map in ipairs(vim.api.nvim_get_keymap('n')) do
    local name = map.lhs:match('^<Plug>%(ropeway(%-.-)%)$')
    if name then
      t.check(
        'and the map ' .. name,
        help:find('`' .. name .. '`', 1, true) or help:find(map.lhs, 1, true)
      )
    end
  end
  local options = help:match('{opts} is a table.-\n=====')
  for _, option in ipairs({
    'cmd',
    'settings',
    'filetypes',
    'root_markers',
    'trusted',
    'restart',
    'window',
  }) do
    t.check('and the option ' .. option, options:find('\n\t' .. option .. '\t', 1, true))
  end

  -- A program that is not there.
  local ropeway = require('ropeway')
  local told = {}
  local stock = vim.notify
  vim.notify = function(message) ---@diagnostic disable-line: duplicate-set-field
    told[#told + 1] = message
  end
  ropeway.setup({ cmd = { '/nowhere/ropeway' } })
  t.check(
    'a missing program is named',
    (told[1] or ''):find('"/nowhere/ropeway" was not found', 1, true),
    told
  )
  t.check('with what to do', (told[1] or ''):find('cargo install', 1, true), told)
  vim.cmd('silent checkhealth ropeway')
  local health = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, true), '\n')
  t.check(
    'the health check says it as well',
    health:find('ERROR the program "/nowhere/ropeway" was not found', 1, true),
    health
  )
  vim.cmd.bwipeout()

  -- A server of another version, and one that differs in its last number only.
  for version, fits in pairs({ ['99.0.0'] = false, [ropeway.version:gsub('%d+$', '99')] = true }) do
    local program = home .. '/bin/other'
    vim.fn.writefile({
      '#!/bin/sh',
      'case "$1" in',
      ('--version) echo "ropeway %s" ;;'):format(version),
      'doctor) echo "all is well" ;;',
      ('*) exec "%s" -l "%s/old.lua" %s "%s/asked.json" ;;'):format(
        vim.v.progpath,
        here,
        version,
        home
      ),
      'esac',
    }, program)
    assert(vim.uv.fs_chmod(program, 493))
    told = {}
    local trusted
    ropeway.setup({
      cmd = { program },
      restart = false,
      trusted = function(folder)
        trusted = folder
        return false
      end,
    })
    vim.cmd.edit(dir .. '/a.py')
    t.wait('a server of version ' .. version .. ' starts', function()
      local client = ropeway.client(0, true)
      return client and ropeway.server_version(client) == version
    end)
    local client = assert(ropeway.client(0, true))
    t.same('does it fit?', ropeway.mismatch(client) == nil, fits)
    t.same('the user is told', #told, fits and 0 or 1)
    if not fits then
      t.same(
        'which is older',
        told[1],
        'Ropeway: the plugin is version '
          .. ropeway.version
          .. ', the server 99.0.0: update the older.'
      )
      vim.cmd('silent checkhealth ropeway')
      health = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, true), '\n')
      t.check('the health check, too', health:find('this server 99.0.0', 1, true), health)
      vim.cmd.bwipeout()
    end
    local asked = vim.json.decode(table.concat(vim.fn.readfile(home .. '/asked.json')))
    t.same('the function decides about trust', asked.initializationOptions.trusted, false)
    t.same('with the root in hand, which is the nearest that has a marker', trusted, dir)
    if vim.fn.has('nvim-0.11') == 1 then
      client:stop()
    else
      client.stop() ---@diagnostic disable-line
    end
    t.wait('it stops', function()
      return ropeway.client(0, true) == nil
    end)
    vim.cmd('bwipeout! ' .. vim.fn.bufnr(dir .. '/a.py'))
  end
  vim.notify = stock
end)
