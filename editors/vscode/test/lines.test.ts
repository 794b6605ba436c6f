import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Misfit, follow, landed, patched, undone } from '../src/lines';

test('marks move with lines that come and go above them, and stay for those below', () => {
  const marks = [{ start: 5, end: 8 }];
  assert.deepEqual(follow(marks, { first: 1, last: 1, breaks: 2 }), [{ start: 7, end: 10 }]);
  assert.deepEqual(follow(marks, { first: 1, last: 3, breaks: 0 }), [{ start: 3, end: 6 }]);
  assert.deepEqual(follow(marks, { first: 9, last: 12, breaks: 0 }), marks);
});

test('an undo of the edit takes its mark along, one of what was typed elsewhere does not', () => {
  const marks = [{ start: 5, end: 8 }, { start: 12, end: 12 }];
  assert.deepEqual(undone(marks, { first: 5, last: 7, breaks: 0 }).left, [{ start: 12, end: 12 }]);
  assert.deepEqual(undone(marks, { first: 12, last: 12, breaks: 3 }).gone, [{ start: 12, end: 12 }]);
  assert.deepEqual(undone(marks, { first: 6, last: 6, breaks: 0 }).left, marks);
});

test('a mark grows with what is typed in it and goes with the text that is rewritten', () => {
  assert.deepEqual(follow([{ start: 5, end: 8 }], { first: 6, last: 6, breaks: 1 }), [{ start: 5, end: 9 }]);
  assert.deepEqual(follow([{ start: 5, end: 8 }], { first: 4, last: 9, breaks: 0 }), []);
});

test('replacements of one edit are found in the text after it', () => {
  const edits = [
    { start: 10, end: 11, endCharacter: 0, text: 'a\nb\nc\n' },
    { start: 2, end: 4, endCharacter: 0, text: 'x\n' },
    { start: 20, end: 22, endCharacter: 0, text: '' },
  ];
  assert.deepEqual(landed(edits), [{ start: 2, end: 3 }, { start: 9, end: 12 }, { start: 21, end: 21 }]);
});

test('a unified diff makes the proposed text, with the line ends of the file', () => {
  const diff = '--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n@@ -5,1 +5,2 @@\n five\n+six\n';
  assert.equal(patched('one\ntwo\nthree\nfour\nfive\n', diff), 'one\nTWO\nthree\nfour\nfive\nsix\n');
  assert.equal(patched('one\r\ntwo\r\nthree\r\nfour\r\nfive\r\n', diff), 'one\r\nTWO\r\nthree\r\nfour\r\nfive\r\nsix\r\n');
  assert.equal(patched('', '@@ -0,0 +1,2 @@\n+a\n+b\n').trimEnd(), 'a\nb');
});

test('a diff that was cut or is for another text shows nothing rather than something else', () => {
  assert.throws(() => patched('one\ntwo\n', '@@ -1,2 +1,2 @@\n one\n-zwei\n+two\n'), Misfit);
  assert.throws(() => patched('one\ntwo\n', '@@ -1,2 +1,2 @@\n one\n'), Misfit);
  assert.throws(() => patched('one\n', 'nothing'), Misfit);
});
