// The whole main job in a real VS Code, step by step as a user does it. Each step begins where the last one ended.
import fs from 'node:fs';
import path from 'node:path';
import { distrust, distrusting } from './distrust.mjs';
import { looks } from './looks.mjs';
import { startModel } from './model.mjs';
import { proposals } from './proposals.mjs';
import { Workbench, until } from './workbench.mjs';

const { EDITORS, PROGRAM, WORK } = process.env;
const TILL = `RATES = {"book": 0.07, "food": 0.0}


def total(items):
    sum = 0
    for item in items:
        sum = sum + item.price
    return sum


def receipt(items):
    return f"Total: {total(items):.2f}"
`;
const LOOP = '    sum = 0\n    for item in items:\n        sum = sum + item.price\n    return sum\n';
const SUM = '    return sum(item.price for item in items)\n';

const model = await startModel();
const config = path.join(WORK, 'config.toml');
const configure = (name) =>
  fs.writeFileSync(config, `model = "play/${name}"\n[providers.play]\nkind = "openai"\nbase_url = "${model.url}"\napi_key_env = "PLAY_KEY"\n[models."play/small"]\ncontext_window = 8000\nprice = { input = 3.0, cached_input = 0.3, output = 15.0 }\n`);
configure('small');

const bench = await Workbench.start({
  editors: EDITORS,
  work: WORK,
  vsix: path.join(WORK, 'ropeway.vsix'),
  machine: {
    'ropeway.server.path': PROGRAM,
    'ropeway.server.environment': { ROPEWAY_CONFIG: config, PLAY_KEY: 'not-a-key', ROPEWAY_STATE_DIR: path.join(WORK, 'state') },
  },
});
const { page } = bench;
const keys = (combination) => page.keyboard.press(combination);
fs.writeFileSync(bench.file('till.py'), TILL);
fs.writeFileSync(bench.file('shop.py'), 'from till import receipt\n\nprint(receipt([]))\n');

/** Selects lines of the file in front, from a place to another. */
async function select(line, lines) {
  await bench.goTo(line);
  for (let i = 0; i < lines; i += 1) await keys('Shift+ArrowDown');
}

/** While a run works nothing on the screen goes round and round: typing would wait for it. */
async function still() {
  await until('nothing is animated', async () => (await bench.animations()).length === 0, async () => (await bench.animations()).join('\n'));
}

/** Waits for a notification, and presses a button of it. */
async function press(text, label) {
  const notification = bench.notification(text);
  await notification.waitFor();
  await notification.hover();
  await notification.getByRole('button', { name: label }).first().click();
}

const steps = {
  async 'opens, and the status bar says that it is there'() {
    await bench.open();
    await bench.quickOpen('till.py');
    await bench.says('small');
    await bench.shot('1-open');
  },

  async 'the live view opens by its key and says what to do'() {
    await keys('Control+K');
    await keys('g');
    await keys('g');
    await bench.view.getByLabel('Your instruction').waitFor();
    await page.mouse.move(349, 600);
    await page.mouse.down();
    await page.mouse.move(450, 600, { steps: 5 });
    await page.mouse.up();
    await bench.shot('2-view');
  },

  async 'an edit is asked for in the menu; what is typed meanwhile is kept; calls run side by side'() {
    await bench.lines.click();
    await select(4, 5);
    const menu = await bench.actions();
    await bench.shot('3-menu');
    await bench.pick(menu, 'Edit selection');
    await page.locator('.quick-input-widget', { hasText: 'What to do with the selection' }).waitFor();
    await page.keyboard.type('Use the built-in sum');
    await keys('Enter');
    const first = await model.next();
    if (!JSON.stringify(first.body.messages).includes('Use the built-in sum')) throw new Error('the instruction did not arrive');
    first.text('I look at who calls `total` first, and at how prices are written.');
    await bench.view.getByText('who calls').waitFor();
    await bench.says('thinking');
    await still();
    first.call('grep', { pattern: 'total' }).call('read_file', { path: 'shop.py' }).call('list_dir', { path: '.' });
    // The model still speaks, and the calls that it has completed have run already.
    await bench.view.locator('.row.done').nth(1).waitFor();
    first.end();
    const second = await model.next();
    if (second.results().length !== 3) throw new Error(`three results: ${JSON.stringify(second.results())}`);
    second.text('Only `receipt` uses it. One line does the same:\n\n- no variable that hides the built-in,\n- no loop.');
    await bench.view.getByText('no loop').waitFor();
    await bench.goTo(1);
    await page.keyboard.type('# prices in euros\n', { delay: 5 });
    second.call('edit_file', { path: 'till.py', old_string: LOOP, new_string: SUM }).end();
    const third = await model.next();
    await bench.view.locator('.diff .added', { hasText: 'return sum(item.price' }).waitFor();
    await bench.shot('4-live');
    await page.keyboard.type('# checked by hand\n', { delay: 5 });
    third.text('`total` is one line now.').end();
    await bench.shows('return sum(item.price for item in items)');
    await bench.shows('# prices in euros');
    await bench.shows('# checked by hand');
    await bench.shows('sum = 0', false);
    await bench.view.locator('.chip.applied').waitFor();
    await bench.says('Ropeway');
    await bench.shot('5-applied');
  },

  async 'undo once gives back the state before, and redo the edit'() {
    await bench.lines.click();
    await keys('Control+Z');
    await bench.shows('sum = 0');
    await bench.shows('# checked by hand');
    await bench.shows('return sum(item', false);
    await keys('Control+Shift+Z');
    await bench.shows('return sum(item');
  },

  async 'the run is taken back later, with what was typed since kept'() {
    await bench.goTo(3);
    await page.keyboard.type('# typed later\n', { delay: 5 });
    await bench.shows('# typed later');
    await bench.palette('Ropeway: Take Back This Run');
    await bench.shows('sum = sum + item.price');
    await bench.shows('return sum(item', false);
    await bench.shows('# typed later');
    await bench.view.getByText('Taken back').waitFor();
    await keys('Control+S');
  },

  async 'a command is approved in the view, with its output on the page'() {
    await bench.view.getByLabel('Your instruction').fill('Which files are there?');
    await keys('Enter');
    const first = await model.next();
    if (!JSON.stringify(first.body.messages).includes('Use the built-in sum')) throw new Error('a follow-up continues its conversation');
    first.text('I ask the shell.').call('run_command', { command: 'ls -1 && echo these are all' }).end();
    await bench.view.getByRole('alertdialog').waitFor();
    await bench.says('waiting');
    await bench.shot('6-approval');
    await bench.view.getByRole('button', { name: 'Allow once' }).click();
    const second = await model.next();
    const result = second.results().at(-1);
    if (!result.includes('shop.py')) throw new Error(`the command's output: ${result}`);
    second.text('`shop.py` and `till.py`.').end();
    await bench.view.locator('.chip.answered').waitFor();
    await bench.view.locator('.answer.yes', { hasText: 'Allow once' }).waitFor();
    await bench.shot('7-approved');
  },

  async 'with the view closed it is asked by message, and a no is a no'() {
    await keys('Control+Shift+E');
    await bench.lines.click();
    await bench.palette('Ropeway: Ask for a Change');
    await page.locator('.quick-input-widget', { hasText: 'What to do' }).waitFor();
    await page.keyboard.type('Remove all');
    await keys('Enter');
    const first = await model.next();
    first.call('run_command', { command: 'rm -r .' }).end();
    await press('rm -r .', 'Deny');
    const second = await model.next();
    if (!fs.existsSync(bench.file('till.py'))) throw new Error('a denied command ran');
    second.text('Then not.').end();
    await bench.says('Ropeway');
  },

  async 'a run is cancelled in the middle by its notification, and changes nothing'() {
    const before = await bench.text();
    await bench.goTo(7);
    await bench.palette('Ropeway: Refactor');
    const first = await model.next();
    first.text('Let me').call('edit_file', { path: 'till.py', old_string: LOOP, new_string: SUM });
    const notification = bench.notification('Refactor');
    await notification.waitFor();
    await still();
    await notification.hover();
    await bench.shot('7a-notification');
    await notification.getByRole('button', { name: 'Cancel' }).click();
    await first.gone;
    await bench.says('Ropeway');
    if ((await bench.text()) !== before) throw new Error('a cancelled run changed the text');
  },

  async 'the context menu of the editor has the actions, and does what is picked'() {
    await bench.goTo(1);
    const nothing = await bench.submenu('Ropeway', 'sum = sum');
    await nothing.getByText('Simplify').waitFor();
    if ((await nothing.getByText('Edit Selection').count()) > 0) throw new Error('with nothing selected there is no selection to edit');
    await keys('Escape');
    await keys('Escape');
    await select(7, 5);
    const menu = await bench.submenu('Ropeway', 'sum = sum');
    await menu.getByText('Edit Selection').waitFor();
    await bench.shot('7b-context');
    await menu.getByText('Simplify').click();
    const first = await model.next();
    if (!JSON.stringify(first.body.messages).includes('sum = sum + item.price')) throw new Error('the selected lines did not arrive');
    first.call('edit_file', { path: 'till.py', old_string: LOOP, new_string: SUM }).end();
    (await model.next()).text('One line.').end();
    await bench.shows('return sum(item.price for item in items)');
    await bench.says('Ropeway');
    await keys('Control+Z');
    await bench.shows('sum = 0');
  },

  async 'the configuration is edited, and in force with the next run'() {
    configure('large');
    await bench.goTo(7);
    await bench.palette('Ropeway: Explain');
    const first = await model.next();
    if (first.body.model !== 'large') throw new Error(`asked was ${first.body.model}`);
    first.text('It adds prices up.').end();
    await bench.says('large');
    await press('Ropeway has answered: Explain', 'Show');
    await bench.view.getByText('It adds prices up.').waitFor();
    configure('small');
    await keys('Control+Shift+E');
    await bench.lines.click();
  },

  async 'the server is killed and comes back; what happened is said, with the log one click away'() {
    await bench.palette('Ropeway: Explain');
    const first = await model.next();
    const servers = bench.processes((command) => command[0] === PROGRAM && command[1] === 'serve');
    if (servers.length !== 1) throw new Error(`one server: ${servers.join(' ')}`);
    process.kill(servers[0], 'SIGKILL');
    await first.gone;
    await bench.notification("Ropeway's server ended by signal SIGKILL").waitFor();
    await bench.shot('8-killed');
    await press("Ropeway's server ended by signal SIGKILL", 'Show Log');
    await page.locator('.part.panel', { hasText: 'OUTPUT' }).first().waitFor();
    await bench.says('small');
    await keys('Control+J');
    await bench.lines.click();
    await bench.palette('Ropeway: Explain');
    const again = await model.next();
    again.text('As before.').end();
    await bench.notification('Ropeway has answered: Explain').waitFor();
  },

  async 'an error colours the status bar, and says what to do'() {
    configure('refused');
    await bench.palette('Notifications: Clear All Notifications');
    await bench.goTo(7);
    await bench.palette('Ropeway: Explain');
    await bench.says('error');
    // It is there for as long as VS Code pleases; the list of all keeps it.
    await bench.palette('Notifications: Show Notifications');
    await bench.notification('check the API key').waitFor();
    await bench.status.hover();
    await page.locator('.workbench-hover', { hasText: 'check the API key' }).first().waitFor();
    await bench.shot('8b-error');
    configure('small');
    await bench.palette('Notifications: Clear All Notifications');
    await bench.palette('Ropeway: Explain');
    (await model.next()).text('It adds up.').end();
    await bench.says('Ropeway');
  },

  async 'in mode preview the diff opens and waits for a yes'() {
    await bench.settle({ 'ropeway.edits.mode': 'preview' }, '{"edits":{"mode":"preview"}}');
    await bench.goTo(7);
    await bench.palette('Ropeway: Simplify');
    const first = await model.next();
    first.call('edit_file', { path: 'till.py', old_string: LOOP, new_string: SUM }).end();
    (await model.next()).text('One line.').end();
    await page.locator('.monaco-diff-editor').first().waitFor();
    await bench.notification('Ropeway proposes changes').waitFor();
    await bench.shot('9-preview');
    await press('Ropeway proposes changes to till.py', 'Accept');
    // The diff has been answered, and is gone.
    await page.locator('.monaco-diff-editor').first().waitFor({ state: 'detached' });
    await bench.quickOpen('till.py');
    await bench.shows('return sum(item.price for item in items)');
    await keys('Control+Z');
    await bench.shows('sum = 0');
  },

  async 'in mode confirm the editor itself asks, in its refactor preview'() {
    await bench.settle({ 'ropeway.edits.mode': 'confirm' }, '{"edits":{"mode":"confirm"}}');
    await bench.goTo(7);
    await bench.palette('Ropeway: Simplify');
    const first = await model.next();
    first.call('edit_file', { path: 'till.py', old_string: LOOP, new_string: SUM }).end();
    (await model.next()).text('One line.').end();
    const apply = page.getByRole('button', { name: 'Apply', exact: true }).first();
    await apply.waitFor();
    await bench.shot('10-confirm');
    // What needs confirmation is not ticked at first: that is VS Code's way.
    await page.locator('.bulk-edit-panel .edit-checkbox').first().click();
    await apply.click();
    await bench.shows('return sum(item.price for item in items)');
    await keys('Control+S');
    await until('the file is saved', () => fs.readFileSync(bench.file('till.py'), 'utf8').includes(SUM));
    await bench.settle({}, '{}');
  },

  async 'the menu of the status bar opens with a click, and its hover shows the numbers'() {
    await bench.status.hover();
    await page.locator('.workbench-hover', { hasText: 'First token' }).first().waitFor();
    await bench.shot('11-hover');
    await bench.status.click();
    await page.locator('.quick-input-list .monaco-list-row', { hasText: 'Take back the last run' }).waitFor();
    await bench.shot('12-menu');
    await keys('Escape');
  },

  async 'the report of the last run opens in an editor of its own, and its script works there'() {
    await bench.palette('Ropeway: Show Report of the Last Run');
    await page.locator('.tab.active', { hasText: 'Ropeway Report' }).waitFor();
    let report;
    await until('the page is shown', async () => {
      for (const frame of page.frames()) if (await frame.locator('#scroller .bar').count().catch(() => 0)) report = frame;
      return report !== undefined;
    });
    await report.locator('h1', { hasText: 'Simplify' }).waitFor();
    await report.locator('#zoom-in').click();
    await report.locator('.bar').first().focus();
    await report.locator('#detail h3').waitFor();
    await bench.shot('13-report');
    await keys('Control+W');
    // A key that comes before the page is gone goes with it.
    await page.locator('.tab', { hasText: 'Ropeway Report' }).waitFor({ state: 'detached' });
    await bench.lines.click();
  },
};

const stage = { bench, model, select, press, till: { LOOP, SUM, TILL } };
Object.assign(steps, proposals(stage), looks(stage));

/** One after the other, until one fails; says how many did not. */
async function perform(on, all) {
  for (const [name, step] of Object.entries(all)) {
    const began = Date.now();
    try {
      await step();
      console.log(`ok ${name} (${Date.now() - began} ms)`);
      done += 1;
    } catch (error) {
      failed += 1;
      console.log(`not ok ${name}\n${error.stack ?? error}`);
      await on().shot('failed').catch(() => undefined);
      return;
    }
  }
}

let failed = 0;
let done = 0;
let asked = 0;
let second;
process.on('uncaughtException', async (error) => {
  console.log(`not ok ${error.stack}`);
  await bench.stop();
  await second?.stop();
  process.exit(1);
});
// While one writes a step: STEPS is a pattern of those that are wanted, after the two that open all.
const { MEASURE, STEPS } = process.env;
const wanted = (name) => !STEPS || new RegExp(STEPS).test(name);
for (const name of Object.keys(steps).slice(2)) if (!wanted(name)) delete steps[name];
if (MEASURE) {
  const measured = await import('./measure.mjs');
  if (MEASURE !== 'all') for (const name of Object.keys(steps).slice(2)) delete steps[name];
  if (MEASURE !== 'typing') steps['measured: activation'] = () => measured.activation(bench);
  if (MEASURE !== 'activation') steps['measured: typing'] = () => measured.typing(bench, model);
}
asked += Object.keys(steps).length;
await perform(() => bench, steps);
await bench.stop();
const benches = [bench];
if (failed === 0 && (!MEASURE || MEASURE === 'all') && wanted('distrust')) {
  second = await distrusting({ program: PROGRAM, editors: EDITORS, work: path.join(WORK, 'distrust'), vsix: path.join(WORK, 'bundled.vsix') }, model);
  benches.push(second);
  const more = distrust(second, model);
  asked += Object.keys(more).length;
  await perform(() => second, more);
  await second.stop();
}
for (const one of benches) {
  if (one.violations.length > 0) {
    failed += 1;
    console.log(`not ok the page broke its policy: ${one.violations.join('; ')}`);
  }
  if (one.outside.size > 0) console.log(`requests to other hosts, refused: ${[...one.outside].join(', ')}`);
}
await model.stop();
console.log(`${done} of ${asked} steps`);
process.exit(failed === 0 ? 0 : 1);
