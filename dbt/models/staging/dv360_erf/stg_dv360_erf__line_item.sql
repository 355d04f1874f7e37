with

source as (

    select * from {{ source('dv360_erf', 'line_item') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        common_data.id as line_item_id,
        insertion_order_id,

        -- attributes
        {{ text('common_data.name') }} as line_item_name,
        common_data.active as is_active,
        {{ text('common_data.integration_code') }} as integration_code,
        line_item_type as line_item_type_code,
        {{ from_micros('max_cpm_advertiser_micros') }} as max_cpm_advertiser,
        performance_goal as performance_goal_code,
        {{ from_micros('goal_advertiser_micros') }} as goal_advertiser,

        -- flattened from records
        {{ usec_to_date('budget.start_time_usec') }} as start_date,
        {{ usec_to_last_date('budget.end_time_usec') }} as end_date,

        -- records and lists, as they came
        creative_ids,
        partner_revenue_model,
        cost_tracking_pixels,
        budget,
        frequency_cap,
        target_list,
        partner_costs,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
