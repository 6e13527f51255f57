import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { savePlan } from '../../cli/planfile';
import { exitCodes } from '../../failover/errors';
import { nextEntry, toLine } from '../../failover/journal';
import type { Choice, Plan } from '../../failover/model';
import { plan } from '../../failover/planner';
import { healthy, keptBackups, lose, now, rules, value, withReplica } from '../failover/observations';
import { standby } from './standby';

const commands = [
  'status',
  'plan',
  'switchover',
  'failover',
  'failback',
  'drill',
  'resume',
  'abort',
  'runs',
  'sandbox',
];

describe('cli', function () {
  this.timeout(120_000);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-cli-'));
  after(() => fs.rmSync(folder, { recursive: true, force: true }));

  /** No engine and no state: whatever needs them is refused. */
  const nowhere = { PATH: path.dirname(process.execPath), STANDBY_RUNS: path.join(folder, 'runs') };
  const oneLine = (text: string) => text.trim().split('\n').length === 1;

  it('lists its commands and exit codes', async () => {
    const { code, out } = await standby(['--help']);
    expect(code).to.equal(exitCodes.done);
    for (const name of commands) expect(out).to.match(new RegExp(`^  ${name} `, 'm'));
    expect(out).to.contain('4 stopped half-way: standby resume');
  });

  it('explains every command with examples', async () => {
    for (const name of ['status', 'switchover', 'failover', 'failback', 'resume', 'abort', 'drill']) {
      const { code, out } = await standby([name, '--help']);
      expect(code, name).to.equal(exitCodes.done);
      expect(out, name).to.contain('Examples:').and.to.contain('--json');
    }
  });

  it('names a default as it is typed', async () => {
    expect((await standby(['watch', '--help'])).out).to.contain('1s to 60s (default: 1s)');
  });

  it('has an example of every command of every group', async () => {
    const { out } = await standby(['completion', 'bash']);
    const paths = [...out.matchAll(/^ +'([^']+)'\) words=/gm)].map(([, found = '']) => found);
    expect(paths).to.include.members(['backup verify', 'estate document', 'plan drill', 'sandbox chaos', 'exercise']);
    for (const words of paths) {
      const help = (await standby([...words.split(' '), '--help'])).out;
      expect(help.split('Examples:')[1] ?? '', words).to.contain(`standby ${words}`);
    }
  });

  const wrong: readonly (readonly [string, string])[] = [
    ['bogus', "unknown command 'bogus'"],
    ['failover --to moon', 'allowed are prod, intg'],
    ['failover --database tape', 'allowed are prod, restored, replica, imported'],
    ['failover --to intg --prod-is-lost short', '10 characters or more'],
    ['failover --to prod --prod-is-lost because-of-fire', "the site that takes over can't be lost"],
    ['switchover --from intg --to intg', 'two different sites'],
    ['switchover --accept-loss', "unknown option '--accept-loss'"],
    ['runs ../../etc', 'no name of a run'],
    ['backup verify --accept-emptied public.old', 'said of one backup'],
    ['completion powershell', 'bash, zsh, fish'],
    ['watch --interval 1000', 'allowed is 1s to 60s'],
  ];
  for (const [line, says] of wrong) {
    it(`answers "standby ${line}" with exit code 2 and what is allowed`, async () => {
      const { code, out, err } = await standby(line.split(' '), nowhere);
      expect(code, err).to.equal(exitCodes.usage);
      expect(err).to.contain(says);
      expect(err).not.to.contain(' at ');
      expect(out).to.equal('');
    });
  }

  it('says in one line what is missing, and the same as JSON', async () => {
    const refused = await standby(['status'], nowhere);
    expect(refused.code).to.equal(exitCodes.refused);
    expect(refused.err).to.match(/^standby: the command "pulumi" is not there: .+$/m);
    expect(oneLine(refused.err)).to.equal(true);
    const json = await standby(['status', '--json'], nowhere);
    expect(JSON.parse(json.out)).to.include({ code: 'Failed', error: 'PulumiMissing', exit: 'refused' });
    const elsewhere = await standby(['failover', '--to', 'intg', '--yes'], { ...nowhere, STANDBY_PROJECT: folder });
    expect(elsewhere.code).to.equal(exitCodes.usage);
    expect(elsewhere.err).to.contain('STANDBY_PROJECT').and.to.satisfy(oneLine);
  });

  it('shows a stack trace only when it is asked for', async () => {
    const { err } = await standby(['--debug', 'status'], nowhere);
    expect(err)
      .to.contain('StandbyError')
      .and.to.match(/^\s+at /m);
  });

  it('names every wrong value of a configuration, and looks at nothing', async () => {
    const project = path.join(folder, 'project');
    fs.mkdirSync(project);
    const file = fs.readFileSync(path.join(__dirname, '..', '..', 'Pulumi.failover.yaml'), 'utf8');
    fs.writeFileSync(path.join(project, 'Pulumi.failover.yaml'), file.replace('activeSite: prod', 'activeSite: moon'));
    const { code, err } = await standby(['status'], { ...nowhere, STANDBY_PROJECT: project });
    expect(code).to.equal(exitCodes.refused);
    expect(err).to.contain('standby:activeSite is "moon"; allowed: prod, intg').and.to.satisfy(oneLine);
  });

  it('shows the runs of this machine when nothing else answers, and says that it is so', async () => {
    expect((await standby(['runs'], nowhere)).out).to.equal('no run yet\n');
    const promote = { id: 'promote', title: 'promote psql-x', after: [], limitSeconds: 60, touches: [], args: {} };
    const steps = [{ ...promote, pointOfNoReturn: true }];
    const plan = { id: 'run-1', kind: 'failover', from: 'prod', to: 'intg', branch: '1c', steps } as unknown as Plan;
    const begun = nextEntry(undefined, 'run-1', Date.now(), { type: 'plan', plan, who: 'eva@home' });
    const intent = nextEntry(begun, 'run-1', Date.now() + 1_000, { type: 'intent', step: 'promote', attempt: 1 });
    fs.mkdirSync(path.join(nowhere.STANDBY_RUNS, 'run-1'), { recursive: true });
    fs.writeFileSync(path.join(nowhere.STANDBY_RUNS, 'run-1', 'journal.jsonl'), toLine(begun) + toLine(intent));
    const { code, out, err } = await standby(['runs'], nowhere);
    expect(code).to.equal(exitCodes.done);
    expect(out)
      .to.contain('failover prod → intg (1c)')
      .and.to.contain('by eva@home: not ended at promote, no way back: `standby resume`\n');
    expect(err).to.contain('"pulumi" is not there');
    expect((await standby(['runs', 'run-1'], nowhere)).out)
      .to.contain('begun')
      .and.to.contain('promote psql-x');
    expect((await standby(['runs', 'run-2'], nowhere)).code).to.equal(exitCodes.refused);

    fs.mkdirSync(path.join(nowhere.STANDBY_RUNS, 'run-0'));
    fs.writeFileSync(path.join(nowhere.STANDBY_RUNS, 'run-0', 'journal.jsonl'), toLine(begun).repeat(2));
    const damaged = await standby(['runs'], nowhere);
    expect(damaged.code).to.equal(exitCodes.done);
    expect(damaged.out)
      .to.match(/^run-0\n {2}!! the journal of run run-1 is not as it was written: line 2 is missing/m)
      .and.to.contain('by eva@home: not ended at promote');
    const [json] = (await standby(['runs', '--json'], nowhere)).out
      .split('\n')
      .filter((line) => line.includes('run-0'));
    expect(JSON.parse(json ?? '')).to.have.keys('run', 'entries', 'broken');

    const word = { type: 'resume', who: 'eva@home', abandon: 'INTG serves by plain Pulumi' } as const;
    const given = nextEntry(intent, 'run-1', Date.now() + 2_000, word);
    const over = nextEntry(given, 'run-1', Date.now() + 3_000, { type: 'end', outcome: 'aborted' });
    fs.appendFileSync(path.join(nowhere.STANDBY_RUNS, 'run-1', 'journal.jsonl'), toLine(given) + toLine(over));
    expect((await standby(['runs'], nowhere)).out).to.match(
      /: abandoned where it stood: INTG serves by plain Pulumi\n/,
    );
  });

  it('refuses words beside a saved plan that are not the plan’s own', async () => {
    const file = path.join(folder, 'plan.json');
    const seen = healthy(withReplica);
    const observation = lose({ ...seen, vault: value(keptBackups(now - 600_000)) }, 'prod');
    const wish = { kind: 'failover', to: 'intg', lost: 'fire in westeurope', acceptLoss: true } as const;
    const using = async (words: string) =>
      standby(['failover', '--plan', file, '--yes', ...(words === '' ? [] : words.split('+'))], nowhere);
    const save = (database: Choice) => savePlan(file, plan(observation, { ...wish, database }, now, rules));
    save('restored');
    const { code, err, out } = await using('--database+replica+--accept-loss');
    expect(code, err).to.equal(exitCodes.usage);
    expect(err).to.contain(`${file} says --database restored, the command line --database replica: leave out --plan`);
    expect(err).to.satisfy(oneLine);
    expect(out).to.equal('');
    const refused = [
      ['--to+prod', 'says --to intg, the command line --to prod'],
      ['--database+imported', 'says --database restored, the command line --database imported'],
      ['--many-names', 'says no --many-names, the command line --many-names'],
      [
        '--prod-is-lost+flood in westeurope',
        'says --prod-is-lost "fire in westeurope", the command line --prod-is-lost',
      ],
      ['--intg-is-lost+flood in northeurope', 'says no --intg-is-lost, the'],
    ] as const;
    for (const [words, says] of refused) expect((await using(words)).err).to.contain(says);
    for (const words of ['', '--to+intg+--database+restored+--prod-is-lost+fire in westeurope+--accept-loss']) {
      expect((await using(words)).err, 'it goes on').to.contain('"pulumi" is not there');
    }
    save('imported');
    expect((await using('--database+restored')).err).to.contain(
      'says --database imported, the command line --database',
    );
  });

  it('completes commands, options and values in bash', async () => {
    const { out } = await standby(['completion', 'bash']);
    const file = path.join(folder, 'completion.bash');
    fs.writeFileSync(file, out);
    const complete = (...typed: string[]) => {
      const script = `source ${file}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _standby; echo "\${COMPREPLY[@]}"`;
      return spawnSync('bash', ['-c', script, 'bash', 'standby', ...typed], { encoding: 'utf8' })
        .stdout.trim()
        .split(' ');
    };
    expect(complete('')).to.include.members(commands);
    expect(complete('fail')).to.deep.equal(['failover', 'failback']);
    expect(complete('failover', '--to', '')).to.deep.equal(['prod', 'intg']);
    expect(complete('plan', 'failover', '--acc')).to.deep.equal(['--accept-loss']);
    expect(complete('sandbox', 'sil')).to.deep.equal(['silence']);
  });

  it('starts without a compiler in the process, and without the sandbox', async () => {
    const script = `
      process.argv = [process.argv[0], 'standby', 'status', '--help'];
      process.on('exit', () => {
        const loaded = Object.keys(require.cache);
        const heavy = loaded.filter((file) => /node_modules.(typescript|ts-node|@pulumi|@azure|@kubernetes|pg)\\b|.sandbox./.test(file));
        process.stderr.write(heavy.join('\\n'));
      });
      require('./bin/standby.js');`;
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], {
      cwd: path.join(__dirname, '..', '..'),
      encoding: 'utf8',
    });
    expect(stdout).to.contain('Usage: standby status');
    expect(stderr).to.equal('');
  });
});
