/** GET /journal: the journal itself, for whoever wants to replay the engine. */
import { Type } from 'typebox';
import type { JournalSequence } from '../../domain/units.ts';
import { journalRows } from '../../storage/queries/journal-rows.ts';
import type { Route } from '../context.ts';
import { JournalRowView, journalRowView } from '../journal-view.ts';
import { integerQuery, pageRequest } from '../paging.ts';
import { IntegerQuery, LimitQuery, object, page } from '../schemas.ts';

/** A row is one group commit and may hold thousands of commands. */
const ROWS_MAX = 500;

export const getJournal: Route = (app, { pool, dependencies }) => {
  const olderThanMs = dependencies.journalDelayMs ?? 0;
  app.get(
    '/journal',
    {
      schema: {
        tags: ['audit'],
        summary: 'Journal rows in order; nextCursor is the next `from`',
        querystring: object({
          from: Type.Optional(IntegerQuery),
          cursor: Type.Optional(IntegerQuery),
          limit: LimitQuery,
        }),
        response: { 200: page(JournalRowView) },
      },
    },
    async (request) => {
      const { limit } = pageRequest({ limit: request.query.limit }, ROWS_MAX);
      const from = integerQuery(request.query.cursor, 'cursor') ?? integerQuery(request.query.from, 'from') ?? 1;
      const rows = await journalRows(pool, { fromSequence: from as JournalSequence, limit, olderThanMs });
      const last = rows.at(-1);
      return {
        data: rows.map((row) => journalRowView(row)),
        nextCursor: rows.length < limit || last === undefined ? null : String(last.lastSequence + 1),
      };
    },
  );
};
