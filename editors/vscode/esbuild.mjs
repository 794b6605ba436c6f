// Bundles: `node esbuild.mjs` into dist/, `node esbuild.mjs --test` the tests of the pure parts into dist-test/.
import { copyFileSync, readdirSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

const common = { bundle: true, minify: true, legalComments: 'none', logLevel: 'warning', metafile: false };
if (process.argv.includes('--test')) {
  rmSync('dist-test', { recursive: true, force: true });
  const entryPoints = readdirSync('test').filter((name) => name.endsWith('.test.ts')).map((name) => `test/${name}`);
  await build({ ...common, minify: false, entryPoints, outdir: 'dist-test', outExtension: { '.js': '.mjs' }, platform: 'node', format: 'esm', target: 'node20' });
} else {
  rmSync('dist', { recursive: true, force: true });
  // 1.91 runs on Node 20; `vscode` is the editor's own module.
  await build({ ...common, entryPoints: ['src/extension.ts'], outdir: 'dist', platform: 'node', format: 'cjs', target: 'node20', external: ['vscode'] });
  await build({ ...common, entryPoints: { view: 'src/webview/main.ts' }, outdir: 'dist', platform: 'browser', format: 'iife', target: 'es2022' });
  await build({ ...common, entryPoints: { view: 'src/webview/view.css' }, outdir: 'dist' });
  copyFileSync('../../LICENSE', 'LICENSE');
}
