// Edits that wait for a yes over several files, and edits that meet the user's own in the same lines.
import fs from 'node:fs';

export function proposals({ bench, model, press, till: { LOOP, SUM, TILL } }) {
  const { page } = bench;
  const keys = (combination) => page.keyboard.press(combination);
  const card = () => bench.view.locator('article.run').last();

  /** A run that proposes to change two files and to make a third. */
  async function propose(prompt) {
    await bench.palette('Ropeway: Ask for a Change');
    await page.locator('.quick-input-widget', { hasText: 'What to do' }).waitFor();
    await page.keyboard.type(prompt);
    await keys('Enter');
    const first = await model.next();
    first.text('`total` in one line, a test for it, and the shop says what it is.');
    first.call('edit_file', { path: 'till.py', old_string: LOOP, new_string: SUM });
    first.call('edit_file', { path: 'shop.py', old_string: 'print(receipt([]))', new_string: 'print("The shop: " + receipt([]))' });
    first.call('create_file', { path: 'checks.py', text: 'from till import total\n\n\ndef test_nothing_costs_nothing():\n    assert total([]) == 0\n' });
    first.end();
    (await model.next()).text('Three files.').end();
    await page.locator('.multiDiffEditor .monaco-diff-editor').first().waitFor();
  }

  return {
    async 'a proposal over several files is decided file by file, in the view'() {
      fs.writeFileSync(bench.file('till.py'), TILL);
      await bench.settle({ 'ropeway.edits.mode': 'preview' }, '{"edits":{"mode":"preview"}}');
      await bench.quickOpen('till.py');
      await bench.shows('sum = 0');
      await bench.palette('View: Show Ropeway');
      // It takes the keyboard when it is there.
      await bench.view.getByLabel('Your instruction').click();
      await propose('One line, with a test');
      await card().locator('.chip.proposed').waitFor();
      await bench.shot('14-proposal');
      await card().getByRole('button', { name: 'Reject the edit of shop.py' }).click();
      await card().locator('.decided.rejected').waitFor();
      await card().getByRole('button', { name: 'Accept the edit of till.py' }).click();
      await card().locator('.decided.accepted').waitFor();
      await bench.shot('15-decided');
      await card().getByRole('button', { name: 'Accept the rest' }).click();
      await card().locator('.chip.applied').waitFor();
      await page.locator('.tab', { hasText: 'proposed' }).waitFor({ state: 'detached' });
      // A file that was made stands open, to be saved.
      await page.locator('.tab[data-resource-name="checks.py"]').click();
      await bench.shows('test_nothing_costs_nothing');
      await bench.quickOpen('shop.py');
      await bench.shows('The shop', false);
      await bench.quickOpen('till.py');
      await bench.shows('return sum(item');
      await card().getByRole('button', { name: 'Take back this run' }).click();
      await bench.shows('sum = 0');
      await bench.shows('return sum(item', false);
      await card().locator('.chip', { hasText: 'Taken back' }).waitFor();
    },

    async 'or by a list of its files, or in the diff of one of them'() {
      await propose('The same again');
      await press('Ropeway proposes changes to 3 files', 'Choose Files');
      const list = page.locator('.quick-input-widget', { hasText: 'which files to accept' });
      await list.waitFor();
      await bench.shot('16-choose');
      // All are ticked at first; in a box that has the keyboard Enter would tick it again.
      for (const name of ['shop.py', 'checks.py']) await list.locator('.monaco-list-row', { hasText: name }).locator('.quick-input-list-checkbox, .monaco-checkbox, input').first().click();
      await list.getByRole('button', { name: 'OK' }).click();
      await card().locator('.chip.applied').waitFor();
      await bench.quickOpen('till.py');
      await bench.shows('return sum(item');
      await bench.quickOpen('shop.py');
      await bench.shows('The shop', false);
      await bench.palette('Ropeway: Take Back This Run');
      await bench.quickOpen('till.py');
      await bench.shows('sum = 0');
      await keys('Control+S');

      await propose('And once more');
      await card().getByRole('button', { name: 'Open diff of shop.py' }).click();
      await page.locator('.tab.active', { hasText: 'shop.py' }).waitFor();
      await bench.shot('17-one-diff');
      await page.getByRole('button', { name: 'Accept Proposed Edit of This File' }).first().click();
      await card().locator('.decided.accepted').waitFor();
      await card().getByRole('button', { name: 'Reject the rest' }).click();
      await card().locator('.chip.applied').waitFor();
      await bench.quickOpen('shop.py');
      await bench.shows('The shop');
      await keys('Control+Z');
      await bench.shows('The shop', false);
      await keys('Control+S');
    },

    async 'where the user changed the same lines meanwhile theirs stand, and it is said where'() {
      await bench.settle({}, '{}');
      await bench.quickOpen('till.py');
      await bench.goTo(7);
      await bench.palette('Ropeway: Simplify');
      const first = await model.next();
      first.call('edit_file', { path: 'till.py', old_string: LOOP, new_string: SUM });
      first.call('edit_file', { path: 'till.py', old_string: '"food": 0.0', new_string: '"food": 0.05' }).end();
      const second = await model.next();
      await bench.lines.getByText('item.price').first().click();
      await keys('End');
      await page.keyboard.type(' * item.count', { delay: 5 });
      second.text('Shorter, and food is taxed.').end();
      await card().locator('.chip.conflict').waitFor();
      await bench.shows('sum = sum + item.price * item.count');
      await bench.shows('"food": 0.05');
      await card().getByText('you changed the same lines').waitFor();
      await bench.shot('18-conflict');
      await bench.palette('Notifications: Clear All Notifications');
    },
  };
}
