-- The users table, and the functions that know its columns. The rules are in the next file: it
-- calls these functions and names no table of users.
--
-- To use a table of your own, run your own version of this file in its place. There is a worked
-- example in ../examples/profiles.sql.
--
-- Runs as Supabase's `postgres` role. Running it again does no harm.

create table if not exists public.users (
  id text primary key,
  email text,
  email_verified boolean,
  phone_number text,
  username text,
  first_name text,
  last_name text,
  image_url text,
  external_id text,
  public_metadata jsonb,
  banned boolean,
  created_at timestamptz,
  updated_at timestamptz,
  deleted_at timestamptz,
  synced_at timestamptz,
  sync_source text check (sync_source in ('webhook', 'page_load', 'reconcile'))
);

-- There may already be a table of this name with other columns.
do $$
declare
  missing text;
begin
  select string_agg(wanted, ', ' order by wanted) into missing
  from unnest(array['id', 'email', 'email_verified', 'phone_number', 'username', 'first_name',
    'last_name', 'image_url', 'external_id', 'public_metadata', 'banned', 'created_at',
    'updated_at', 'deleted_at', 'synced_at', 'sync_source']) as wanted
  where not exists (
    select from pg_catalog.pg_attribute
    where attrelid = 'public.users'::regclass and attname = wanted and not attisdropped
  );
  if missing is not null then
    raise exception 'public.users is another table: it lacks %', missing
      using hint = 'Map onto your own table instead: see supabase/examples/profiles.sql.';
  end if;
end
$$;

comment on table public.users is
  'Clerk''s users by Clerk id. Only user_sync_apply writes here.';
comment on column public.users.id is 'The Clerk id, user_…';
comment on column public.users.updated_at is
  'When Clerk last changed the user. An older change never overwrites a newer one.';
comment on column public.users.deleted_at is
  'Not null in a tombstone. Nothing revives a tombstone. Its id stays so that foreign keys hold.';
comment on column public.users.synced_at is
  'When the row was last confirmed to match Clerk. Null while the row is in doubt.';
comment on column public.users.sync_source is
  'The source that last wrote or confirmed the row: webhook, page_load or reconcile.';

alter table public.users enable row level security;

-- Supabase grants all privileges on new tables in public to every API role.
revoke all on public.users from anon, authenticated;
grant select on public.users to authenticated;
grant select, insert, update on public.users to service_role;

drop policy if exists "a signed-in user reads their own row" on public.users;
create policy "a signed-in user reads their own row" on public.users
  for select to authenticated
  using ((select auth.jwt() ->> 'sub') = id);


create or replace function public.user_sync_row(clerk_user jsonb)
returns public.users
language plpgsql immutable
set search_path = ''
as $$
declare
  email jsonb;
  phone jsonb;
  mapped public.users;
begin
  select address into email
  from jsonb_array_elements(clerk_user -> 'email_addresses') as address
  where address ->> 'id' = clerk_user ->> 'primary_email_address_id';

  select number into phone
  from jsonb_array_elements(clerk_user -> 'phone_numbers') as number
  where number ->> 'id' = clerk_user ->> 'primary_phone_number_id';

  mapped.id := clerk_user ->> 'id';
  mapped.email := nullif(email ->> 'email_address', '');
  mapped.email_verified := email #>> '{verification,status}' = 'verified';
  mapped.phone_number := nullif(phone ->> 'phone_number', '');
  mapped.username := nullif(clerk_user ->> 'username', '');
  mapped.first_name := nullif(clerk_user ->> 'first_name', '');
  mapped.last_name := nullif(clerk_user ->> 'last_name', '');
  mapped.image_url := nullif(clerk_user ->> 'image_url', '');
  mapped.external_id := nullif(clerk_user ->> 'external_id', '');
  mapped.public_metadata := nullif(clerk_user -> 'public_metadata', 'null');
  mapped.banned := clerk_user ->> 'banned';
  mapped.created_at := to_timestamp((clerk_user ->> 'created_at')::bigint / 1000.0);
  mapped.updated_at := to_timestamp((clerk_user ->> 'updated_at')::bigint / 1000.0);
  return mapped;
end
$$;

comment on function public.user_sync_row is
  'Maps Clerk''s user object to a row. Nothing else does.';


create or replace function public.user_sync_find(clerk_id text)
returns table (email text, updated_at timestamptz, deleted_at timestamptz, synced_at timestamptz)
language sql stable
set search_path = ''
as $$
  select stored.email, stored.updated_at, stored.deleted_at, stored.synced_at
  from public.users as stored
  where stored.id = clerk_id
$$;

comment on function public.user_sync_find is
  'What the rules need to know about a user''s row. No result if there is no row.';


create or replace function public.user_sync_store(clerk_user jsonb, source text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  mapped public.users := public.user_sync_row(clerk_user);
  stored public.users;
  outcome text;
begin
  select * into stored from public.users as before where before.id = mapped.id;
  outcome := case
    when stored.id is null then 'created'
    when (stored.email, stored.email_verified, stored.phone_number, stored.username,
        stored.first_name, stored.last_name, stored.image_url, stored.external_id,
        stored.public_metadata, stored.banned, stored.created_at, stored.updated_at)
      is distinct from
      (mapped.email, mapped.email_verified, mapped.phone_number, mapped.username,
        mapped.first_name, mapped.last_name, mapped.image_url, mapped.external_id,
        mapped.public_metadata, mapped.banned, mapped.created_at, mapped.updated_at)
      then 'updated'
    else 'unchanged'
  end;

  insert into public.users (id, email, email_verified, phone_number, username, first_name,
    last_name, image_url, external_id, public_metadata, banned, created_at, updated_at,
    synced_at, sync_source)
  values (mapped.id, mapped.email, mapped.email_verified, mapped.phone_number, mapped.username,
    mapped.first_name, mapped.last_name, mapped.image_url, mapped.external_id,
    mapped.public_metadata, mapped.banned, mapped.created_at, mapped.updated_at, now(), source)
  on conflict (id) do update set (email, email_verified, phone_number, username, first_name,
    last_name, image_url, external_id, public_metadata, banned, created_at, updated_at,
    synced_at, sync_source)
  = (excluded.email, excluded.email_verified, excluded.phone_number, excluded.username,
    excluded.first_name, excluded.last_name, excluded.image_url, excluded.external_id,
    excluded.public_metadata, excluded.banned, excluded.created_at, excluded.updated_at,
    excluded.synced_at, excluded.sync_source);

  return jsonb_build_object('outcome', outcome, 'email', mapped.email, 'displaced', '[]'::jsonb);
end
$$;

comment on function public.user_sync_store is
  'Writes a user as Clerk has them. Returns {outcome: created | updated | unchanged, email, '
  'displaced}. displaced lists the users who gave up a unique value: none in this table.';


create or replace function public.user_sync_doubt(clerk_id text)
returns void
language sql
set search_path = ''
as $$
  update public.users set synced_at = null where id = clerk_id
$$;

comment on function public.user_sync_doubt is
  'Puts the row in doubt: the next page load reads the user from Clerk again.';


create or replace function public.user_sync_erase(clerk_id text, at timestamptz, source text)
returns void
language sql
set search_path = ''
as $$
  insert into public.users (id, deleted_at, synced_at, sync_source)
  values (clerk_id, at, now(), source)
  on conflict (id) do update set
    (email, email_verified, phone_number, username, first_name, last_name, image_url,
      external_id, public_metadata, banned, deleted_at, synced_at, sync_source)
    = (null, null, null, null, null, null, null,
      null, null, null, excluded.deleted_at, excluded.synced_at, excluded.sync_source)
$$;

comment on function public.user_sync_erase is
  'Writes a tombstone, even if there was no row. No personal data stays.';


-- Supabase lets every API role execute a new function in public.
revoke execute on function
  public.user_sync_row, public.user_sync_find, public.user_sync_store, public.user_sync_doubt,
  public.user_sync_erase
from public, anon, authenticated;
grant execute on function
  public.user_sync_row, public.user_sync_find, public.user_sync_store, public.user_sync_doubt,
  public.user_sync_erase
to service_role;

notify pgrst, 'reload schema';
