-- Answers an operator's questions: do webhooks arrive, and how many users did they miss? It reads
-- the ledger and the state, so it works with any table of users.
--
-- The HTTP functions do not call anything here.
--
-- Runs as Supabase's `postgres` role. Running it again does no harm.

begin;

create or replace function public.user_sync_health()
returns jsonb
language plpgsql stable security definer
set search_path = ''
set timezone = 'UTC'
as $$
begin
  return (
    -- A rejected webhook wrote nothing, so it does not count as an event of its source.
    with sources as (
      select named.source, named.ordinal, max(newest.recorded_at) as last_event_at
      from unnest(enum_range(null::user_sync.source)) with ordinality as named (source, ordinal)
        cross join unnest(enum_range(null::user_sync.outcome)) as kind (outcome)
        -- One look into the index for each source and outcome.
        left join lateral (
          select event.recorded_at from user_sync.events as event
          where event.source = named.source and event.outcome = kind.outcome
          order by event.recorded_at desc limit 1
        ) as newest on kind.outcome <> 'rejected'
      group by named.source, named.ordinal
    ),
    last_webhook as (
      select sources.last_event_at as at from sources where sources.source = 'webhook'
    ),
    webhooks as (
      select
        (select count(*) from user_sync.events as event
          where event.source = 'webhook' and event.recorded_at > now() - interval '24 hours'
            and event.outcome in ('created', 'updated', 'unchanged', 'stale', 'deleted')
        ) as arrived,
        (select count(*) from user_sync.events as event
          where event.source = 'webhook' and event.recorded_at > now() - interval '24 hours'
            and event.outcome = 'rejected'
        ) as rejected
    ),
    -- An orphan is a user who was created at least a minute ago and whom no webhook has reported.
    -- Most new users are first written by their own page load, about a second before the webhook
    -- arrives, and Svix retries after 5 s: after a minute two deliveries have failed. A user stops
    -- counting as an orphan when a webhook for them arrives later.
    created as (
      select event.source, event.recorded_at, false as is_orphan
      from user_sync.events as event
      where event.source = 'webhook' and event.outcome = 'created'
        and event.recorded_at >= current_date - 29
      union all
      select event.source, event.recorded_at,
        event.recorded_at <= now() - interval '1 minute' and state.webhook_at is null
      from user_sync.events as event
        left join user_sync.users as state on state.id = event.user_id
      where event.source in ('page_load', 'reconcile') and event.outcome = 'created'
        and event.recorded_at >= current_date - 29
    ),
    orphans as (
      select count(*) as lost,
        count(*) filter (where created.recorded_at > coalesce(last_webhook.at, '-infinity'))
          as lost_since_last_webhook
      from created, last_webhook
      where created.is_orphan and created.recorded_at > now() - interval '24 hours'
    ),
    counts as (
      select created.recorded_at::date as date,
        count(*) filter (where created.source = 'webhook') as webhook,
        count(*) filter (where created.source = 'page_load') as page_load,
        count(*) filter (where created.source = 'reconcile') as reconcile,
        count(*) filter (where created.is_orphan) as orphans_healed
      from created
      group by created.recorded_at::date
    )
    select jsonb_build_object(
      'verdict', case
        when arrived = 0 and lost = 0 then 'quiet'
        when lost_since_last_webhook > 0 then 'silent'
        when lost > 0 then 'leaking'
        else 'working'
      end,
      'arrived', arrived,
      'lost', lost,
      'rejected', rejected,
      'lost_since_last_webhook', lost_since_last_webhook,
      'last_webhook_at', last_webhook.at,
      'sources', (
        select jsonb_agg(jsonb_build_object('source', sources.source,
          'last_event_at', sources.last_event_at) order by sources.ordinal)
        from sources
      ),
      'days', (
        select jsonb_agg(jsonb_build_object('day', current_date - ago,
          'webhook', coalesce(counts.webhook, 0), 'page_load', coalesce(counts.page_load, 0),
          'reconcile', coalesce(counts.reconcile, 0),
          'orphans_healed', coalesce(counts.orphans_healed, 0)) order by current_date - ago)
        from generate_series(0, 29) as ago
          left join counts on counts.date = current_date - ago
      )
    )
    from webhooks, orphans, last_webhook
  );
end
$$;

call user_sync.restrict_new_function('public.user_sync_health');

comment on function public.user_sync_health is
  'Do webhooks arrive? The verdict covers the last 24 hours. working: they do. leaking: some '
  'users were lost. silent: some users were lost and no webhook has arrived since. quiet: no '
  'webhook arrived and no user was lost. Also the last event of each source, and the last 30 days '
  'in UTC. Users who signed up before webhooks were set up count as lost on the day of their '
  'first page load.';

notify pgrst, 'reload schema';

commit;
