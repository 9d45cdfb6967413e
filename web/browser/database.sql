-- The ledger is not exposed by the API. These functions are for the tests in the browser only.

create function public.test_record_created(users jsonb) returns void
language sql security definer set search_path = '' as $$
  insert into user_sync.events (user_id, source, outcome, recorded_at)
  select "user"->>'user_id', ("user"->>'source')::user_sync.source, 'created',
    ("user"->>'at')::timestamptz
  from jsonb_array_elements(users) as "user"
$$;

create function public.test_age_events(aged_user text, aged_to timestamptz) returns void
language sql security definer set search_path = '' as $$
  update user_sync.events set recorded_at = aged_to where user_id = aged_user;
  update user_sync.events set recorded_at = aged_to - interval '1 second'
  where source = 'webhook' and recorded_at > aged_to;
$$;

revoke execute on function public.test_record_created, public.test_age_events
from public, anon, authenticated;

notify pgrst, 'reload schema';
