{#
    History of entities (docs/decisions/0020-history-from-observations.md).

    An observed table (int_<entities>_observed) has one row per platform, account, day and entity: what was seen.
    `versions` makes of it the days on which something changed. The snapshots keep those, so that they outlive the raw
    rows; the dimensions read both: raw decides about the days it holds, the snapshot remembers the others.
#}


{# Rows of the API, and rows of Entity Read Files for the accounts and days that the API did not observe. #}
{% macro api_before_erf(api, erf) -%}
    select {{ api }}.* from {{ api }}
    union all
    select {{ erf }}.*
    from {{ erf }}
    left join
        (select distinct account_id, snapshot_date from {{ api }}) as observed_by_api
        on
            {{ erf }}.account_id = observed_by_api.account_id
            and {{ erf }}.snapshot_date = observed_by_api.snapshot_date
    where observed_by_api.account_id is null
{%- endmacro %}


{# A hash of columns that tells null from text and one column from the next (separators no name contains). #}
{% macro hash_of(columns) -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append("coalesce(cast(" ~ column ~ " as " ~ dbt.type_string() ~ "), chr(30))") -%}
    {%- endfor -%}
    {{ dbt.hash("concat(" ~ parts | join(", chr(31), ") ~ ")") }}
{%- endmacro %}


{#
    The days on which an entity was first seen, changed, went away or came back: one row each.

    observed    relation with platform, account_id, snapshot_date, the key and the attributes
    key         column that names the entity
    attributes  columns that make a version
    remembered  snapshot of earlier results of this macro; its rows count for days that `observed` does not have

    Result: version_key, platform, account_id, key, attributes, valid_from, is_deleted, version_hash.
#}
{% macro versions(observed, key, attributes, remembered=none) -%}
    with

    observed as (

        select
            platform,
            account_id,
            {{ key }},
            snapshot_date as valid_from,
            {{ attributes | join(', ') }},
            false as is_deleted
        from {{ observed }}

    ),

    raw_days as (

        select distinct
            platform,
            account_id,
            valid_from
        from observed

    ),

    {% if remembered is not none -%}
    remembered as (

        select
            kept.platform,
            kept.account_id,
            kept.{{ key }},
            kept.valid_from,
            {% for attribute in attributes -%}
            kept.{{ attribute }},
            {% endfor -%}
            kept.is_deleted
        from {{ remembered }} as kept
        left join raw_days
            on
                kept.platform = raw_days.platform
                and kept.account_id = raw_days.account_id
                and kept.valid_from = raw_days.valid_from
        where
            kept.dbt_valid_to is null
            and raw_days.valid_from is null

    ),

    days as (

        select platform, account_id, valid_from, true as is_raw from raw_days
        union all
        select distinct platform, account_id, valid_from, false as is_raw from remembered

    ),

    known as (

        select * from observed
        union all
        select * from remembered

    ),
    {%- else -%}
    days as (

        select platform, account_id, valid_from, true as is_raw from raw_days

    ),

    known as (

        select * from observed

    ),
    {%- endif %}

    -- Raw rows of a day are all there was on that day: who is not among them was gone.
    days_and_next as (

        select
            platform,
            account_id,
            valid_from,
            min(case when is_raw then valid_from end) over (
                partition by platform, account_id
                order by valid_from
                rows between 1 following and unbounded following
            ) as next_raw_day
        from days

    ),

    followed as (

        select
            known.*,
            days_and_next.next_raw_day,
            lead(known.valid_from) over (
                partition by known.platform, known.account_id, known.{{ key }}
                order by known.valid_from
            ) as next_known_day
        from known
        inner join days_and_next
            on
                known.platform = days_and_next.platform
                and known.account_id = days_and_next.account_id
                and known.valid_from = days_and_next.valid_from

    ),

    absences as (

        select
            platform,
            account_id,
            {{ key }},
            next_raw_day as valid_from,
            {% for attribute in attributes -%}
            nullif({{ attribute }}, {{ attribute }}) as {{ attribute }},
            {% endfor -%}
            true as is_deleted
        from followed
        where
            not is_deleted
            and next_raw_day is not null
            and (next_known_day is null or next_known_day > next_raw_day)

    ),

    hashed as (

        select
            both_kinds.*,
            case
                when is_deleted then 'deleted'
                else {{ hash_of(attributes) }}
            end as version_hash
        from (
            select * from known
            union all
            select * from absences
        ) as both_kinds

    ),

    compared as (

        select
            hashed.*,
            lag(version_hash) over (
                partition by platform, account_id, {{ key }}
                order by valid_from
            ) as hash_before
        from hashed

    )

    select
        {{ joined(['platform', 'account_id', key, 'valid_from']) }} as version_key,
        platform,
        account_id,
        {{ key }},
        {{ attributes | join(',\n        ') }},
        valid_from,
        is_deleted,
        version_hash
    from compared
    where hash_before is null or hash_before != version_hash
{%- endmacro %}


{# The versions of entities as a dimension: each lasts until the next change; absences only end something. #}
{% macro dimension(observed, remembered, key, attributes) -%}
    with

    changes as (

        {{ versions(observed, key, attributes, remembered) | indent(8) }}

    ),

    spans as (

        select
            changes.*,
            lead(valid_from) over (
                partition by platform, account_id, {{ key }}
                order by valid_from
            ) as valid_to
        from changes

    )

    select
        *,
        {{ joined(['platform', key, 'valid_from']) }} as entity_version,
        valid_to is null as is_current
    from spans
    where not is_deleted
{%- endmacro %}
