with

source as (

    select * from {{ source('dv360', 'insertion_order') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        insertion_order_id,
        advertiser_id,
        campaign_id,

        -- attributes
        display_name as insertion_order_name,
        entity_status,
        insertion_order_type,
        name as resource_name,
        optimization_objective,
        reservation_type,
        update_time as updated_at,

        -- flattened from records
        {{ from_micros(
            over_list('sum(segment.budget_amount_micros)', 'budget.budget_segments', 'segment')
        ) }} as budget_amount,
        {{ over_list(
            'min(' ~ date_of('segment.date_range.start_date') ~ ')', 'budget.budget_segments', 'segment'
        ) }} as start_date,
        {{ over_list(
            'max(' ~ date_of('segment.date_range.end_date') ~ ')', 'budget.budget_segments', 'segment'
        ) }} as end_date,

        -- records and lists, as they came
        bid_strategy,
        budget,
        frequency_cap,
        integration_details,
        kpi,
        pacing,
        partner_costs,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
