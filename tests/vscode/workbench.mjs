// A real VS Code (code-server) in a headless Chromium, with the extension installed: what a user's hands and eyes do.
//
// Loopback only. Nothing sleeps for luck: everything waits for what the user would wait for, bounded.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createRequire } from 'node:module';

const CHROMIUM_FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
];

const QUIET = {
  'telemetry.telemetryLevel': 'off',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
  'workbench.editor.useModal': 'off',
  'workbench.enableExperiments': false,
  'workbench.welcomePage.walkthroughs.openOnInstall': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.colorTheme': 'Default Dark Modern',
  'chat.disableAIFeatures': true,
  'update.mode': 'none',
  'update.showReleaseNotes': false,
  'extensions.autoUpdate': false,
  'extensions.autoCheckUpdates': false,
  'extensions.ignoreRecommendations': true,
  'git.enabled': false,
  'json.schemaDownload.enable': false,
  'typescript.disableAutomaticTypeAcquisition': true,
  'editor.minimap.enabled': false,
  'editor.accessibilitySupport': 'off',
  'terminal.integrated.gpuAcceleration': 'off',
  'files.autoSave': 'off',
};

export class Workbench {
  static async start({ editors, work, vsix, machine, user = {}, trust = false }) {
    const self = new Workbench();
    Object.assign(self, { work, user });
    for (const dir of ['home', 'user/User', 'user/Machine', 'ext', 'proj']) fs.mkdirSync(path.join(work, dir), { recursive: true });
    fs.writeFileSync(path.join(work, 'config.yaml'), 'auth: none\ncert: false\n');
    self.trust = {
      'security.workspace.trust.enabled': trust,
      'security.workspace.trust.startupPrompt': 'never',
      'security.workspace.trust.banner': 'never',
    };
    fs.writeFileSync(path.join(work, 'user/User/settings.json'), self.settingsText({}));
    // Settings of scope `machine` are read from here only.
    fs.writeFileSync(path.join(work, 'user/Machine/settings.json'), JSON.stringify(machine));
    const node = path.join(editors, 'vscode/node/node');
    const entry = path.join(editors, 'vscode/node_modules/code-server/out/node/entry.js');
    const env = {
      PATH: process.env.PATH, LANG: 'C.UTF-8', HOME: path.join(work, 'home'),
      XDG_CONFIG_HOME: path.join(work, 'home/.config'), XDG_DATA_HOME: path.join(work, 'home/.local/share'),
      CS_DISABLE_GETTING_STARTED_OVERRIDE: '1',
      // Port 9 answers nobody: the extensions' view stays offline.
      EXTENSIONS_GALLERY: JSON.stringify({ serviceUrl: 'http://127.0.0.1:9/g', itemUrl: 'http://127.0.0.1:9/i', resourceUrlTemplate: 'http://127.0.0.1:9/r' }),
    };
    const common = [entry, '--config', path.join(work, 'config.yaml'), '--user-data-dir', path.join(work, 'user'), '--extensions-dir', path.join(work, 'ext')];
    const installed = spawnSync(node, [...common, '--install-extension', vsix], { env, cwd: work, encoding: 'utf8', timeout: 120_000 });
    if (installed.status !== 0) throw new Error(`the extension cannot be installed: ${installed.stdout}${installed.stderr}`);
    self.port = await freePort();
    const out = fs.openSync(path.join(work, 'code-server.log'), 'w');
    const flags = ['--disable-telemetry', '--disable-update-check', '--disable-getting-started-override', '--disable-proxy', '--disable-file-downloads', '--ignore-last-opened'];
    if (!trust) flags.push('--disable-workspace-trust');
    self.server = spawn(node, [...common, '--auth', 'none', '--bind-addr', `127.0.0.1:${self.port}`, ...flags], { env, cwd: work, stdio: ['ignore', out, out] });
    await until('code-server answers', async () => (await fetch(`http://127.0.0.1:${self.port}/healthz`)).ok);
    const { chromium } = createRequire(path.join(editors, 'vscode/x.js'))('playwright-core');
    self.browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: CHROMIUM_FLAGS });
    const context = await self.browser.newContext({ viewport: { width: 1280, height: 880 }, deviceScaleFactor: 1 });
    self.page = await context.newPage();
    self.page.setDefaultTimeout(30_000);
    self.outside = new Set();
    self.violations = [];
    self.page.on('console', (message) => {
      if (/Content Security Policy|Refused to/.test(message.text()) && /view\.(js|css)|ropeway/.test(message.text())) self.violations.push(message.text());
    });
    await self.page.route('**/*', (route) => {
      const { hostname, protocol } = new URL(route.request().url());
      if (hostname === '127.0.0.1' || hostname.endsWith('localhost') || protocol === 'data:' || protocol === 'blob:') return route.continue();
      self.outside.add(hostname);
      return route.abort();
    });
    return self;
  }

  /** The user's settings: what every test wants, with these. */
  settingsText(more) {
    return JSON.stringify({ ...QUIET, ...this.trust, ...this.user, ...more });
  }

  /** Changes the user's settings as a user does, and waits until the server has read them; `read` is the last of what the log says it read. */
  async settle(more, read) {
    await this.set(more);
    await until('the server reads the settings', () => {
      const said = this.log().split('\n').findLast((line) => line.includes('reads the settings'));
      return said?.endsWith(read);
    });
  }

  /** Changes the user's settings as a user does. */
  async set(more) {
    await this.palette('Preferences: Open User Settings (JSON)');
    await this.page.locator('.tab.active[data-resource-name="settings.json"]').waitFor();
    await this.lines.click();
    await this.page.keyboard.press('Control+A');
    await this.page.keyboard.insertText(this.settingsText(more));
    await this.page.keyboard.press('Control+S');
    await this.page.locator('.tab.active[data-resource-name="settings.json"]:not(.dirty)').waitFor();
    await this.page.keyboard.press('Control+W');
  }

  /** The extension's log. */
  log() {
    const logs = path.join(this.work, 'user/logs');
    const files = fs.readdirSync(logs, { recursive: true }).filter((name) => path.basename(name) === 'Ropeway.log');
    return files.map((name) => fs.readFileSync(path.join(logs, name), 'utf8')).join('\n');
  }

  file(name) {
    return path.join(this.work, 'proj', name);
  }

  async open() {
    const url = `http://127.0.0.1:${this.port}/?folder=${encodeURIComponent(path.join(this.work, 'proj'))}`;
    await this.page.goto(url, { waitUntil: 'domcontentloaded' });
    await this.page.locator('.monaco-workbench .part.statusbar').first().waitFor();
    await this.page.locator('.explorer-folders-view').first().waitFor();
  }

  get status() {
    return this.page.locator('[id="ropeway.ropeway.status"]');
  }

  /** Waits until the status bar says this. */
  async says(text, patience = 30_000) {
    await this.status.filter({ hasText: text }).waitFor({ timeout: patience });
  }

  async quickOpen(name) {
    await this.page.keyboard.press('Control+P');
    const input = this.page.locator('.quick-input-widget input').first();
    await input.waitFor();
    await input.fill(name);
    // Not only in the list of those opened lately, which stands there at first: the one that Enter takes.
    await this.page.locator('.quick-input-list .monaco-list-row.focused', { hasText: name }).waitFor();
    await this.page.keyboard.press('Enter');
    await this.page.locator(`.tab.active[data-resource-name="${name}"]`).waitFor();
    await this.lines.waitFor();
  }

  async palette(title) {
    await this.page.keyboard.press('F1');
    const input = this.page.locator('.quick-input-widget input').first();
    await input.waitFor();
    await input.fill(`>${title}`);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: title.replace(/^Ropeway: /, '') }).first().waitFor();
    await this.page.keyboard.press('Enter');
  }

  get lines() {
    return this.page.locator('.editor-instance .view-lines').first();
  }

  /** The text on the screen, in order of the lines. */
  async text() {
    const rows = await this.lines.locator('.view-line').evaluateAll((all) =>
      all.map((row) => [parseFloat(row.style.top), row.textContent.replaceAll('\u00a0', ' ')]));
    return rows.sort((a, b) => a[0] - b[0]).map((row) => row[1]).join('\n');
  }

  async shows(what, present = true) {
    await until(`the editor ${present ? 'shows' : 'does not show'} ${JSON.stringify(what)}`, async () => (await this.text()).includes(what) === present, async () => this.text());
  }

  async goTo(line, column = 1) {
    await this.page.keyboard.press('Control+G');
    const input = this.page.locator('.quick-input-widget input').first();
    await input.waitFor();
    await this.page.keyboard.type(`${line}:${column}`);
    await this.page.keyboard.press('Enter');
    await this.page.locator('.quick-input-widget').waitFor({ state: 'hidden' });
  }

  /** The menu of code actions. The key is swallowed while the light bulb makes its own request: tried again, bounded. */
  async actions() {
    const menu = this.page.locator('.action-widget:not(.action-list-submenu-panel)').first();
    for (let i = 0; i < 8; i += 1) {
      await this.page.keyboard.press('Control+.');
      if (await menu.waitFor({ timeout: 2500 }).then(() => true, () => false)) return menu;
    }
    throw new Error('no menu of code actions');
  }

  async pick(menu, title) {
    await this.page.mouse.move(700, 500);
    await this.page.mouse.move(702, 505);
    await menu.locator('.action', { hasText: title }).first().click();
  }

  /** The live view's page, inside its two frames. */
  get view() {
    return this.page.frameLocator('iframe.webview.ready').frameLocator('#active-frame');
  }

  /** The same as a frame, to look into it. */
  async viewFrame() {
    let found;
    await until('the live view is there', async () => {
      for (const frame of this.page.frames()) if ((await frame.locator('.compose').count().catch(() => 0)) > 0) found = frame;
      return found !== undefined;
    });
    return found;
  }

  /** Waits for words in the terminal in front. */
  async terminalSays(text) {
    const rows = this.page.locator('.terminal-wrapper.active .xterm');
    await rows.first().waitFor();
    await until(`the terminal says ${text}`, async () => {
      // It draws on a canvas; what it shows is selected and read from the accessible copy.
      const shown = await this.page.evaluate(() => [...document.querySelectorAll('.xterm-rows, .xterm-accessibility')].map((one) => one.textContent).join('\n'));
      return shown.replaceAll('\u00a0', ' ').includes(text);
    });
  }

  /** What is animated without an end, here or in the view: each is a new picture sixty times a second. */
  async animations() {
    const found = [];
    for (const frame of this.page.frames()) {
      found.push(...(await frame.evaluate(() =>
        document.getAnimations().filter((one) => one.effect.getTiming().iterations === Infinity)
          .map((one) => `${one.animationName} of ${one.effect.pseudoElement ?? ''} ${one.effect.target.outerHTML.slice(0, 120)}`))));
    }
    return found;
  }

  /** A submenu of the context menu that the editor opens on these words. */
  async submenu(name, words) {
    await this.lines.getByText(words).first().click({ button: 'right' });
    await this.page.locator('.monaco-menu .action-item', { hasText: name }).first().hover();
    const menu = this.page.locator('.monaco-submenu').first();
    await menu.waitFor();
    return menu;
  }

  notification(text) {
    return this.page.locator('.notification-list-item', { hasText: text }).first();
  }

  async shot(name) {
    await this.page.screenshot({ path: path.join(this.work, `${name}.png`) });
  }

  /** Everything below this test that still runs. */
  processes(filter) {
    const parents = new Map();
    for (const entry of fs.readdirSync('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      try {
        parents.set(Number(entry), Number(fs.readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ').pop().split(' ')[1]));
      } catch { /* it has ended meanwhile */ }
    }
    const mine = new Set([process.pid]);
    let before;
    do {
      before = mine.size;
      for (const [child, parent] of parents) if (mine.has(parent)) mine.add(child);
    } while (mine.size > before);
    mine.delete(process.pid);
    return [...mine].filter((pid) => {
      try {
        const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return command[0] !== '' && (!filter || filter(command));
      } catch {
        return false;
      }
    });
  }

  async stop() {
    await this.browser?.close();
    const mine = this.processes();
    this.server?.kill('SIGTERM');
    const alive = () => mine.filter((pid) => fs.existsSync(`/proc/${pid}`) && !/\) Z /.test(readOr(`/proc/${pid}/stat`)));
    await until('all ends', () => alive().length === 0, undefined, 8000).catch(() => undefined);
    for (const pid of alive()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch { /* it has ended meanwhile */ }
    }
  }
}

function readOr(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ') Z ';
  }
}

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Waits until something holds; says what, and how it stood, where it never did. */
export async function until(what, holds, standing, patience = 30_000) {
  const end = Date.now() + patience;
  for (;;) {
    if (await Promise.resolve().then(holds).catch(() => false)) return;
    if (Date.now() > end) throw new Error(`it never came to be that ${what}${standing ? `:\n${await standing()}` : ''}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
