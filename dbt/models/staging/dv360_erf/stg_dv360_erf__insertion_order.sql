with

source as (

    select * from {{ source('dv360_erf', 'insertion_order') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        common_data.id as insertion_order_id,
        advertiser_id,
        campaign_id,

        -- attributes
        {{ text('common_data.name') }} as insertion_order_name,
        common_data.active as is_active,
        {{ text('common_data.integration_code') }} as integration_code,

        -- flattened from records
        {{ from_micros(
            over_list('sum(segment.max_spend_advertiser_micros)', 'scheduled_segments', 'segment')
        ) }} as budget_amount,
        {{ usec_to_date(
            over_list('min(segment.start_time_usec)', 'scheduled_segments', 'segment')
        ) }} as start_date,
        {{ usec_to_last_date(
            over_list('max(segment.end_time_usec)', 'scheduled_segments', 'segment')
        ) }} as end_date,

        -- records and lists, as they came
        overall_budget,
        scheduled_segments,
        frequency_cap,
        default_partner_costs,
        default_target_list,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
