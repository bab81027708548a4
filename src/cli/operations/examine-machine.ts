/** What the machine itself must bring: Node, and signature recovery at full speed. */
import { isNativeRecovery } from '../../chain/recover.ts';
import type { Finding } from './doctor.ts';

const NODE_MAJOR_MIN = 24;

export function examineMachine(): Finding[] {
  const major = Number(process.versions.node.split('.')[0]);
  const node: Finding =
    major >= NODE_MAJOR_MIN
      ? { name: 'Node.js', state: 'ok', found: process.versions.node }
      : {
          name: 'Node.js',
          state: 'failed',
          found: `${process.versions.node}, below ${NODE_MAJOR_MIN}`,
          remedy: 'Run "npm ci": it brings the right one, which the npm scripts and this command use.',
        };
  const recovery: Finding = isNativeRecovery()
    ? { name: 'secp256k1', state: 'ok', found: 'the native library is loaded' }
    : {
        name: 'secp256k1',
        state: 'warning',
        found: 'only the JavaScript build is loaded: checking signatures is some thirty times slower',
        remedy: 'Install a C++ compiler and Python, then run "npm rebuild secp256k1".',
      };
  return [node, recovery];
}
